"""Text: sources, chat templates, packed rows, and rows for two tokenizers."""
