"""Losses over chunks of tokens: the logits of one chunk exist at a time."""
