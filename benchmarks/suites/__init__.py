"""Suites of questions: their aggregates beside published ones, and their harness beside others."""
