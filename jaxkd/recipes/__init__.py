"""One readable file a method."""
