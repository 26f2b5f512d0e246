"""Solutions of ordinary differential equations, with a fixed or an adaptive step."""
