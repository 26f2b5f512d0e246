"""Methods: memory and speed of whole training steps, and alignment."""
