"""The embedded default: a generated, exactly checkable maths world and the small base models that live in it."""
