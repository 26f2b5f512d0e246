"""Evaluation on suites: measures, harnesses, generated programs and the suite of transport texts."""
