"""Results of a study: the cost of its stages, and their summary."""
