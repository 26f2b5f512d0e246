"""Evaluators of learnt dynamics."""
