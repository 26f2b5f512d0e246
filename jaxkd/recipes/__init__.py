"""Distillation and dynamics methods, one readable file each."""
