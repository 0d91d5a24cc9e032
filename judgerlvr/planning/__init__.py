"""The planner: memory, disk, host and minutes of a stage, computed from config.json and the configuration alone.

No module here imports torch: a plan is made on any machine, for cards that are elsewhere.
"""
