"""Losses: accuracy, memory and speed, beside references in plain JAX."""
