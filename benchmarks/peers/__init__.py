"""Other systems, each run by our driver in a separate virtual environment."""
