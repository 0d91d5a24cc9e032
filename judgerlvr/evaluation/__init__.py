"""Evaluation: one way to sample, grade and summarise, for validation in training and offline alike.

Only ``sample`` imports vLLM; everything else runs where no engine is installed.
"""
