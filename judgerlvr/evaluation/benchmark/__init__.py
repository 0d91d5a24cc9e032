"""The benchmark command: many tasks, several models, one table."""
