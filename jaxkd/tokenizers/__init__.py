"""Tokenizers: loading, comparison token by token, and the bytes that each token stands for."""
