"""Benchmarks of what becomes of a study when its process, its disk or its files fail."""
