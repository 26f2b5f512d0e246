"""Drawing of two tokenizations of one text, one above the other.

Both rows share the columns of the text, so tokens that stand for the same bytes are aligned vertically, and
mismatches are visible at a glance.
"""

import dataclasses
import unicodedata
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from jaxkd.report.ink import INK, MUTED, PAPER, RULE
from jaxkd.report.svg import PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 76
"""Text columns per band; a band ends where a token ends in both rows, so it may be a little longer."""

_VISIBLE = {" ": "␣", "\n": "⏎", "\r": "␍", "\t": "⇥"}
_COLORS = (PALETTE[1], PALETTE[2], PALETTE[3], PALETTE[0])
_COLUMN_IN, _ROW_IN, _LINK_IN, _BAND_GAP_IN, _FONT_PT = 0.118, 0.27, 0.26, 0.32, 10.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class TokenRow:
    """One tokenization of the text."""

    name: str
    spans: Int[np.ndarray, "n 2"]
    partners: Int[np.ndarray, " n"]
    """Index of the other row's token for the same bytes; -1 if there is none."""

    @property
    def paired(self) -> int:
        """Number of tokens that have a partner."""
        return int((self.partners >= 0).sum())

    @property
    def tokens(self) -> int:
        """Number of tokens that stand for text."""
        return int((self.spans[:, 0] < self.spans[:, 1]).sum())


def visible(text: bytes) -> str:
    """Return a token's text with visible white space; a byte of an incomplete character becomes two hex digits."""
    letters = text.decode(errors="surrogateescape")
    return "".join(_visible(letter) for letter in letters)


def summary(above: TokenRow, below: TokenRow) -> str:
    """Return a sentence with the number of tokens of each row that have a partner."""
    shares = " and ".join(
        f"{row.paired} of {row.tokens} tokens of {row.name} ({_share(row)})" for row in (above, below)
    )
    return f"{shares} have a partner with the same bytes."


def draw(text: str, above: TokenRow, below: TokenRow) -> "Figure":
    """Draw the two rows in bands, with partners joined in colour and their shares below.

    Raises:
        ValueError: a text without tokens.
    """
    from matplotlib.figure import Figure

    if not above.tokens or not below.tokens:
        raise ValueError("text must hold at least one token on both sides, got none. Give some text.")
    columns = _columns(text, above, below)
    bands = list(_bands(text, columns, above.spans, below.spans))
    widest = max(columns[end] - columns[start] for start, end in bands)
    label_in = 0.25 + 0.09 * max(len(above.name), len(below.name))
    caption = summary(above, below)
    width = label_in + max(widest * _COLUMN_IN, 0.078 * len(caption) - label_in) + 0.2
    band_in = 2 * _ROW_IN + _LINK_IN
    height = len(bands) * (band_in + _BAND_GAP_IN) + 0.45
    figure = Figure(figsize=(width, height), facecolor=PAPER)
    axes = figure.add_axes((0, 0, 1, 1), facecolor=PAPER)
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.set_axis_off()
    data = text.encode()
    for number, (start, end) in enumerate(bands):
        top = height - 0.2 - number * (band_in + _BAND_GAP_IN)
        place = (label_in + (columns - columns[start]) * _COLUMN_IN, top)
        _draw_band(axes, data, above, below, range(start, end), place)
        for row, bottom in ((above, top - _ROW_IN), (below, top - band_in)):
            middle = bottom + _ROW_IN / 2
            axes.text(label_in - 0.12, middle, row.name, ha="right", va="center", color=INK, fontsize=_FONT_PT)
    axes.text(label_in, 0.2, caption, va="center", color=MUTED, fontsize=_FONT_PT - 1)
    return figure


def save(figure: "Figure", path: Path) -> None:
    """Write the figure in the format of the file's suffix; equal figures give equal bytes.

    Raises:
        ValueError: a format that matplotlib does not support.
    """
    import matplotlib

    kinds = figure.canvas.get_supported_filetypes()
    kind = path.suffix.removeprefix(".").lower()
    if kind not in kinds:
        raise ValueError(f"output must end with one of {', '.join(sorted(kinds))}, got {str(path)!r}.")
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "alignment"}), warnings.catch_warnings():
        # The browser supplies the glyph: matplotlib only measures the text.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
        figure.savefig(path, dpi=160, metadata={"Date": None} if kind == "svg" else None)


def _share(row: TokenRow) -> str:
    return f"{row.paired / max(row.tokens, 1):.0%}"


def _visible(letter: str) -> str:
    match unicodedata.category(letter):
        case "Cs":  # surrogate that escapes an undecodable byte
            return f"{ord(letter) - 0xDC00:02x}"
        case "Cc" | "Cf":
            return _VISIBLE.get(letter, "·")
    return _VISIBLE.get(letter, letter)


def _columns(text: str, *rows: TokenRow) -> Float[np.ndarray, " n"]:
    """Return the column at which each byte begins; characters that several tokens share are as wide as needed."""
    ends = {end for row in rows for end in row.spans[:, 1].tolist()}
    columns, column = [], 0.0
    for letter in text:
        start, size = len(columns), len(letter.encode())
        width = 2.0 if unicodedata.east_asian_width(letter) in ("W", "F") else 1.0
        if any(end in ends for end in range(start + 1, start + size)):
            width = 2.3 * size
        columns += [column + width * byte / size for byte in range(size)]
        column += width
    return np.array([*columns, column])


def _bands(
    text: str, columns: Float[np.ndarray, " n"], above: Int[np.ndarray, "n 2"], below: Int[np.ndarray, "m 2"]
) -> Iterator[tuple[int, int]]:
    """Yield byte ranges that fit into a line, cut between characters where a token ends in both rows."""
    common = np.intersect1d(above[:, 1], below[:, 1])
    common = np.intersect1d(common, np.cumsum([len(letter.encode()) for letter in text]))
    last = len(columns) - 1
    common = np.union1d(common[(common > 0) & (common < last)], [last])
    # Balance line lengths: a last line of two tokens looks like a mistake.
    lines = np.ceil(columns[-1] / COLUMNS)
    longest = min(COLUMNS, columns[-1] / lines + 6)
    start = 0
    while start < last:
        ahead = common[common > start]
        fitting = ahead[columns[ahead] - columns[start] <= longest]
        end = int(fitting[-1] if fitting.size else ahead[0])
        yield start, end
        start = end


def _draw_band(
    axes: "Axes",
    text: bytes,
    above: TokenRow,
    below: TokenRow,
    band: range,
    place: tuple[Float[np.ndarray, " n"], float],
) -> None:
    """Draw the tokens of one line and the links between partners."""
    columns, top = place
    for row, bottom, joined in ((above, top - _ROW_IN, True), (below, top - 2 * _ROW_IN - _LINK_IN, False)):
        colors = _colors(row)
        for number, (start, end) in enumerate(row.spans.tolist()):
            if start >= end or start not in band:
                continue
            color = colors[number]
            left, right = float(columns[start]) + 0.012, float(columns[end]) - 0.012
            _box(axes, (left, bottom), (right - left, _ROW_IN), color)
            shown = visible(text[start:end])
            fitting = min(1.0, 1.15 * (right - left) / (len(shown) * _COLUMN_IN))
            axes.text(
                (left + right) / 2,
                bottom + _ROW_IN / 2 - 0.005,
                shown,
                ha="center",
                va="center",
                color=color or MUTED,
                fontsize=_FONT_PT * fitting,
                family="monospace",
                parse_math=False,
            )
            if joined and color is not None:
                middle = (left + right) / 2
                low, high = bottom - _LINK_IN, bottom
                axes.fill([left, right, right, left], [high, high, low, low], color=color, alpha=0.10, linewidth=0)
                axes.plot([middle, middle], [low, high], color=color, linewidth=1.2, solid_capstyle="butt")


def _colors(row: TokenRow) -> Sequence[str | None]:
    """Return colours that differ between neighbouring pairs and agree in both rows, whose pairs have the same order."""
    number, colors = 0, []
    for partner in row.partners:
        colors.append(_COLORS[number % len(_COLORS)] if partner >= 0 else None)
        number += int(partner >= 0)
    return colors


def _box(axes: "Axes", corner: tuple[float, float], size: tuple[float, float], color: str | None) -> None:
    from matplotlib.patches import FancyBboxPatch

    rounding = min(0.035, size[0] / 3)
    for face, alpha, edge in ((color or PAPER, 0.13 if color else 1.0, "none"), ("none", 1.0, color or RULE)):
        axes.add_patch(
            FancyBboxPatch(
                corner,
                *size,
                boxstyle=f"round,pad=0,rounding_size={rounding}",
                facecolor=face,
                edgecolor=edge,
                linewidth=1.0,
                alpha=alpha,
            )
        )
