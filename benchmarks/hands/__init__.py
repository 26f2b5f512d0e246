"""Benchmarks of hands in three dimensions."""
