"""Measurements of the data part."""
