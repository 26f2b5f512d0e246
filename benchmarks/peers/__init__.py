"""Other systems, each run by a driver of our own in a virtual environment of its own."""
