"""Evaluation: sample, grade and summarise a model directory or stored responses.

Only ``run`` reaches vLLM, through ``judgerlvr.sampling``. Every other module runs where no engine is installed.
"""
