"""Answers that the student writes while it learns: rollouts, their reuse and their replay."""
