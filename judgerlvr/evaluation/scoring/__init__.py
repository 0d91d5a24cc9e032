"""Scorers of benchmark tasks that read a whole response, and the sandbox in which sampled code runs."""
