"""Trajectories, and their rates of change from noisy samples."""
