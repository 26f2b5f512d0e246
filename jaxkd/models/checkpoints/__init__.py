"""Checkpoints of decoders: read, written, named, and their configs."""
