"""Files that are written whole, checked when they are read, and belong to one process at a time."""
