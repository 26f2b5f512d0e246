"""Modules that the detection networks consist of."""
