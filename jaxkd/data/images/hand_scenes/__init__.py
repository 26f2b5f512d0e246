"""Hands in three dimensions: a skinned mesh, real poses of it, and a box that a hand opens."""
