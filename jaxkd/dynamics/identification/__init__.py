"""Sparse identification: equations from trajectories and a library of terms."""
