"""Symbolic networks: expressions whose structure is trained."""
