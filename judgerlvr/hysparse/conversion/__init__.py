"""Conversion of Qwen3 and Qwen3-MoE models, its plan, and the search of full layers."""
