"""What the test suite costs, and which faults it notices."""
