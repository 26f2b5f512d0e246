"""Models beside the start of their study: a table of several measures, what went wrong, and answers side by side."""
