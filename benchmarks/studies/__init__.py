"""Stored studies: saved, joined and drawn."""
