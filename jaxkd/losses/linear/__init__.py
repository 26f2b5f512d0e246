"""Losses that need the head product, built on the kernels."""
