"""The embedded default: a generated maths world that is exactly checkable, and the small base models for the world."""
