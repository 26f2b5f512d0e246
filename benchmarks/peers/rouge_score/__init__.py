"""rouge_score, of Google: `requirements.txt` is its environment, `driver.py` runs in it."""
