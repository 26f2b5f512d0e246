"""Networks that assign each pixel to classes."""
