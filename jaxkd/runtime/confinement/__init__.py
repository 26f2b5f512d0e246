"""Processes that run an untrusted program: one that is confined, and one that watches it.

Both start for every program, so they load the standard library alone, and little of it.
"""
