"""Report of suites: one model, or several side by side, on a page and on the terminal."""
