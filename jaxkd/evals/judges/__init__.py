"""Judges of generated answers: which of two is better, or how good each one is."""
