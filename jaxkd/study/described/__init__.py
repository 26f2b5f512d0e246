"""Studies that programs make of a few options: their config files, and their runs."""
