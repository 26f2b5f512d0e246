"""Trajectories, and estimates of their rates of change from noisy samples."""
