"""Studies that are kept: run, joined and drawn."""
