"""One text in the tokens of two models: which targets correspond, and their packed rows."""
