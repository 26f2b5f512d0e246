"""Page of an equation search, and figures of forecasts."""
