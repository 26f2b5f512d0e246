"""How far identified equations can be trusted: held-out trajectories, intervals, bands, hidden states."""
