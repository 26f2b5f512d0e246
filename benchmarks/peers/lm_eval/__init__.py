"""lm-evaluation-harness with its own torch backend: `requirements.txt` is its environment, `driver.py` runs in it."""
