"""Figures that the project promises, measured: `python -m benchmarks --list`."""
