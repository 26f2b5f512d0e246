"""Colours of a standalone drawing, whose surrounding page may be dark."""

INK, MUTED, RULE = "#1c1f24", "#666a70", "#dcd9d1"
PAPER = "#fbfcfd"
