"""Images and their targets: sources, augmentation, and batches for training."""
