"""A model measured before RL, by samples alone, and the measured cases that lie near the model."""
