"""Data: reading, labelling, balancing, decontamination and rendering of problems and judge triplets."""
