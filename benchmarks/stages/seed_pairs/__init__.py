"""Judge-first and vanilla over seeds of a plan: figures of each seed, the sharpening control, and the tables."""
