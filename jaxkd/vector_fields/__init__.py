"""Vector fields that are learnt: networks, and recipes that fit them by slopes or by forecasts."""
