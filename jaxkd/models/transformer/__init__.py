"""The decoder: blocks, attention, adapters, quantised matrices, the key/value cache."""
