"""One training loop for every method: recipe, optimizer, compiled step, checkpoints, validation."""
