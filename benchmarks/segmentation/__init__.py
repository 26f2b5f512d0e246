"""Benchmarks of segmentation."""
