"""Hands: cameras, networks, scenes and what a student learns."""
