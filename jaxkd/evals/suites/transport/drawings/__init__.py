"""Drawings of road signs and of roads seen from above, as vectors."""
