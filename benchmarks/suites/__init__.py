"""Evaluation: scores of continuations, and the harnesses."""
