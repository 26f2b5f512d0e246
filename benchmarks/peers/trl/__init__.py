"""TRL: `requirements.txt` is its environment, `driver.py` runs in it."""
