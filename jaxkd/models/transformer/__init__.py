"""The decoder: blocks, attention, adapters, the key/value cache."""
