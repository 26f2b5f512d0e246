"""rouge_chinese, in plain Python: `requirements.txt` is its environment, `driver.py` runs in it."""
