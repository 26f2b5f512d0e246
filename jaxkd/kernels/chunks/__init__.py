"""Chunks of tokens: the logits of one chunk at a time, and never of all."""
