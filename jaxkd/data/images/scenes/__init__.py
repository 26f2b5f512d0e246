"""Drawn scenes in visible and thermal light: real layouts, exact boxes, four conditions of light and warmth."""
