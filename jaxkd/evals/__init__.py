"""Evaluators, written once and used by every recipe, and what may be concluded from their numbers."""
