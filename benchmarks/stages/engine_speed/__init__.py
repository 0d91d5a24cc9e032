"""verl's training engine alone, as it was and as it is: time, memory and agreement of its two passes."""
