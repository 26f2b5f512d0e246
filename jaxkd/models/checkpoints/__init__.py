"""Checkpoints of decoders: reading, writing, names and configs."""
