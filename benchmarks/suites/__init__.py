"""Evaluation of models on benchmark folders."""
