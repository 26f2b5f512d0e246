"""Evaluators of language models."""
