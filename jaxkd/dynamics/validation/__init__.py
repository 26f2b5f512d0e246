"""Validation of identified equations: held-out trajectories, intervals, bands, hidden states."""
