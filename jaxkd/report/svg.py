"""Inline SVG figures whose text stays text and whose colours follow the page's theme.

Matplotlib draws placeholder colours, which CSS variables replace; the fallback of each variable is the colour
on a light page.
"""

import hashlib
import html
import io
import re
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PALETTE = ("#d55e00", "#0072b2", "#009e73", "#b8578f", "#a67c00", "#3d4db3")
"""Colours on a light page that colour-blind readers can distinguish; a seventh curve repeats the first, dashed."""

INK, MUTED, RULE, NEUTRAL = "#fe0001", "#fe0002", "#fe0003", "#fe0010"
"""Placeholders for main text, secondary text, thin lines, and curves that are context."""

FONT_PT = 10.0
LINE_IN = 1.25 * FONT_PT / 72
"""Line spacing in inches."""
CHARACTER_IN = 0.082
"""Average character width in inches at that size, with room for a wider font in the browser."""

_COLORS = {
    INK: "var(--ink, #1c1f24)",
    MUTED: "var(--muted, #666a70)",
    RULE: "var(--rule, #dcd9d1)",
    NEUTRAL: "var(--series-neutral, #8b8f96)",
    **{f"#fe002{number}": f"var(--series-{number}, {color})" for number, color in enumerate(PALETTE)},
}
_DASHES = ("-", (0, (4, 1.5)), (0, (1, 1.2)))
"""Line styles for the first, second and third use of a colour."""


def color(number: int | None) -> str:
    """Return the placeholder of a palette index; None is context."""
    return NEUTRAL if number is None else f"#fe002{number % len(PALETTE)}"


def dash(number: int | None) -> Any:
    """Return the line style of a palette index, which may exceed the palette's length; None is context."""
    return "-" if number is None else _DASHES[number // len(PALETTE) % len(_DASHES)]


def short(value: float) -> str:
    """Format a number with few characters: 0.00025 is 2.5e-4."""
    if value == 0 or abs(value) >= 0.01:
        return f"{value:.4g}"
    digits, exponent = f"{value:.1e}".split("e")
    return f"{digits.removesuffix('.0')}e{int(exponent)}"


def axes(
    *, width: float, height: float, left: float, right: float, bottom: float, top: float
) -> tuple["Figure", "Axes"]:
    """Create a figure with one pair of bare axes; all lengths are in inches."""
    figure = blank(width=width, height=height)
    box = (left / width, bottom / height, 1 - (left + right) / width, 1 - (bottom + top) / height)
    return figure, bare(figure, box)


def blank(*, width: float, height: float) -> "Figure":
    """Create an empty figure without a background; lengths are in inches."""
    # pyplot would keep every figure alive in a global list.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    figure.patch.set_visible(False)
    return figure


def bare(figure: "Figure", box: tuple[float, float, float, float]) -> "Axes":
    """Add axes with a thin bottom line and no frame.

    Args:
        figure: figure to draw on.
        box: left, bottom, width and height as fractions of the figure.
    """
    drawn = figure.add_axes(box)
    drawn.patch.set_visible(False)
    for side in ("top", "right", "left"):
        drawn.spines[side].set_visible(False)
    drawn.spines["bottom"].set_color(RULE)
    drawn.tick_params(length=0, pad=6, labelcolor=MUTED, labelsize=FONT_PT)
    drawn.set_axisbelow(True)
    return drawn


def element(figure: "Figure", description: str, *, variant: object = "") -> str:
    """Render a figure as an `<svg>` element; its ids are unique on a page if its description and variant are.

    Args:
        figure: figure to render.
        description: text for screen readers.
        variant: distinguishes drawings with the same description, of which a page shows one.
    """
    import matplotlib
    from matplotlib.text import Text

    for label in figure.findobj(Text):
        label.set_parse_math(False)  # a "$" in a name is a literal dollar sign
    buffer = io.StringIO()
    # The salt makes ids, and so the page, deterministic.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": description}), warnings.catch_warnings():
        # The browser supplies the glyph: matplotlib only measures the text.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", text, flags=re.DOTALL)
    # Within HTML, namespaces are implied, and a fixed size would not shrink with the page.
    text = re.sub(r' xmlns(:xlink)?="[^"]*"| version="1.1"', "", text).replace("xlink:href", "href")
    text = re.sub(r'^<svg width="[^"]*" height="[^"]*"', "<svg", text)
    text = text.replace("*{stroke-linejoin", "svg *{stroke-linejoin")
    # Matplotlib numbers the ids of every figure from 1: the prefix makes them unique on a page.
    prefix = f"f{hashlib.md5(f'{description}{variant}'.encode(), usedforsecurity=False).hexdigest()[:8]}-"
    text = re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{prefix}", text)
    for placeholder, shown in _COLORS.items():
        text = text.replace(placeholder, shown)
    return text.replace("<svg", f'<svg role="img" aria-label="{html.escape(description)}"', 1)


def document(drawing: str) -> str:
    """Return the text of an SVG file that holds only this `<svg>` element."""
    # HTML implies the namespace, an SVG file does not.
    return drawing.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1) + "\n"
