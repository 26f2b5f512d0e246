"""Trajectories: simulated, or measured and read from tables."""
