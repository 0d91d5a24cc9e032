"""The checks of a stage's machine, model, data, prompt, verifier, cluster and disk: one home for all commands."""
