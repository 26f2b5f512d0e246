"""The colours of a drawing that stands by itself: the page around it may be dark."""

INK, MUTED, RULE = "#1c1f24", "#666a70", "#dcd9d1"
PAPER = "#fbfcfd"
