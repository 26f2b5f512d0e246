"""Sums over the vocabulary of one tile of logits, exact in float32."""
