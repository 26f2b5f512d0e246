"""Cost of the test suite, and the faults that it notices."""
