"""Answers to the prompts of a split: what writes them."""
