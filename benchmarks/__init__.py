"""Measurements of the figures that jaxkd promises: `python -m benchmarks --list`."""
