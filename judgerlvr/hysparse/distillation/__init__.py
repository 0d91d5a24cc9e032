"""Distillation of a converted model towards its source."""
