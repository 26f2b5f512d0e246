"""Learnt dynamics, beside PySINDy."""
