"""Evaluators of networks that read images, and the small pictures that show what these found."""
