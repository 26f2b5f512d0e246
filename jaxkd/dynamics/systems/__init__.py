"""Known systems, to learn from and to test with."""
