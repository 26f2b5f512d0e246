"""A grammar of two behaviours, complying and declining, on which the whole pipeline runs in minutes."""
