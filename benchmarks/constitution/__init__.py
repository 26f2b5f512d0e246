"""Benchmarks of Constitutional AI: a grammar of two behaviours, oracles, and the speed of three passes."""
