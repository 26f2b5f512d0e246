"""Decoder language models: their networks, checkpoints, surgery and names."""
