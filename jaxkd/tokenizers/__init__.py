"""Tokenizers: loaded, compared token by token, and the bytes that each of their tokens stands for."""
