"""Studies: stages that run in order, seed by seed, and what they report."""
