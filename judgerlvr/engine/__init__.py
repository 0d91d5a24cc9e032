"""The engine: a stage as plain data, rendered to verl's configuration and run by verl on Ray with vLLM."""
