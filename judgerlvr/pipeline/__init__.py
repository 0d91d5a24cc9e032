"""The pipeline around the engine: prompts and judge data in, checked model directories and a run folder out."""
