"""Configuration: schema, loading, cross-field checks and help (imports neither torch nor verl)."""
