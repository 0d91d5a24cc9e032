"""Lab simulation, 4.5 M parameters, not verl: many small models trained side by side to map when judge-first pays."""
