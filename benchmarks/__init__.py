"""Figures that jaxkd promises, measured: `python -m benchmarks --list`."""
