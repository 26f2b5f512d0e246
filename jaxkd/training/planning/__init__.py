"""Requirements of a training, computed without running it: memory, operations, time."""
