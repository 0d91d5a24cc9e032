"""Worlds of the lab, each a class with generator, tracer and verifier."""
