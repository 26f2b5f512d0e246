"""The page of a search for equations, and the figures of forecasts."""
