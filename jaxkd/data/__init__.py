"""From files and packages to typed batches of tokens."""
