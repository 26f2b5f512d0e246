"""What methods that distil have in common: models meet batches, and the losses meet their recipe."""
