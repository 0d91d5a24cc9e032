"""The model: configuration, layers, attention, registration with transformers, and sizes."""
