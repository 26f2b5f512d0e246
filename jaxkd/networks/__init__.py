"""Flax networks as pure functions of their parameters, which may be quantised."""
