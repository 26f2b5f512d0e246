"""Suites: benchmark folders of questions, the models that answer them, and their results."""
