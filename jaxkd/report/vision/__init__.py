"""Drawings of networks on images."""
