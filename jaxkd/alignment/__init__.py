"""Which positions of two tokenizations belong together: pure functions of arrays."""
