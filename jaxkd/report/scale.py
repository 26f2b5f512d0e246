"""Axes for numbers of any size: a common power of ten and a common offset move into the axis label."""

import dataclasses
import math
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from jaxkd.report import svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

_MARGIN = 0.06
"""Free space at both ends, as a fraction of the values' range."""
_BEYOND = 0.5
"""Limit on how far secondary values may extend an axis, as a fraction of its range."""
_FLAT = 1e-9
"""Largest relative change that counts as rounding."""
_SHARED = 1_000
"""Least ratio of size to range at which an offset is subtracted: values differ only in their last digits."""
_LARGEST, _SMALLEST = 1e300, 1e-300
_SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scale:
    """A linear axis."""

    low: float
    high: float
    """Ends of the axis, in the values' unit."""
    offset: float
    """Offset subtracted from the values."""
    power: int
    """Exponent of the power of ten by which the remainder is divided."""

    @classmethod
    def over(cls, values: Float[np.ndarray, "*any"], *others: Float[np.ndarray, "*any"]) -> "Scale":
        """Create an axis that covers all finite `values`, and reaches only a little further for finite `others`."""
        found = _ends(values) or _ends(*others) or (0.0, 1.0)
        low, high = found
        size = max(abs(low), abs(high))
        flat = high - low <= max(_FLAT * size, _SMALLEST)
        margin = (0.05 * size if size > _SMALLEST else 1.0) if flat else _MARGIN * (high - low)
        low, high = low - margin, high + margin
        beyond = _BEYOND * (high - low)
        others_low, others_high = _ends(*others) or found
        low, high = min(low, max(others_low, low - beyond)), max(high, min(others_high, high + beyond))
        offset = 0.0 if max(abs(low), abs(high)) < _SHARED * (high - low) else _rounded(found[0], high - low)
        return cls(low=low, high=high, offset=offset, power=_power(low - offset, high - offset))

    def of(self, values: Float[np.ndarray, "*any"]) -> Float[np.ndarray, "*any"]:
        """Map values to axis coordinates; values far outside are clipped to a little outside, and nan stays nan."""
        span = self.high - self.low
        return (np.clip(values, self.low - span, self.high + span) - self.offset) / 10.0**self.power

    def label(self, name: str, unit: str) -> str:
        """Return the axis label: name, offset, power of ten and unit."""
        power = f"10{self.power}".translate(_SUPERSCRIPTS).replace("¹⁰", "10", 1) if self.power else ""
        unit = " ".join(part for part in (power, unit) if part)
        offset = f" {'−' if self.offset > 0 else '+'} {abs(self.offset):,.12g}" if self.offset else ""
        return f"{name}{offset}" + (f" [{unit}]" if unit else "")

    def on_x(self, axes: "Axes", *, ticks: int = 8) -> None:
        """Apply the scale to the horizontal axis, with at most `ticks` ticks."""
        axes.set_xlim(*self.of(np.array([self.low, self.high])))
        _tick(axes.xaxis, ticks)

    def on_y(self, axes: "Axes", *, ticks: int = 5) -> None:
        """Apply the scale to the vertical axis, with at most `ticks` ticks."""
        axes.set_ylim(*self.of(np.array([self.low, self.high])))
        _tick(axes.yaxis, ticks)


def logarithmic(axes: "Axes", values: Float[np.ndarray, " n"]) -> None:
    """Make the vertical axis logarithmic, from a labelled tick below positive values to one above.

    The axis stays as it is if no value is positive.
    """
    from matplotlib import ticker

    positive = values[(values > _SMALLEST) & (values < _LARGEST)]
    if not positive.size:
        return
    low, high = float(positive.min()), float(positive.max())
    decades = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 2)
    ticks = [factor * 10.0**decade for decade in decades for factor in (1, 2, 5)]
    first = max(number for number, tick in enumerate(ticks) if tick <= low * (1 + _FLAT))
    last = min(number for number, tick in enumerate(ticks) if tick >= high * (1 - _FLAT))
    last += first == last
    shown = ticks[first : last + 1]
    if len(shown) > 5:
        whole = [tick for number, tick in enumerate(ticks) if number % 3 == 0 and first <= number <= last]
        shown = whole[:: -(-len(whole) // 5)]
    axes.set_yscale("log")
    axes.set_ylim(ticks[first], ticks[last])
    axes.yaxis.set_major_locator(ticker.FixedLocator(shown))
    axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: svg.short(value)))
    axes.yaxis.set_minor_locator(ticker.NullLocator())


def _ends(*values: Float[np.ndarray, "*any"]) -> tuple[float, float] | None:
    finite = [one[np.abs(one) < _LARGEST] for one in values]
    finite = [one for one in finite if one.size]
    return (min(float(one.min()) for one in finite), max(float(one.max()) for one in finite)) if finite else None


def _rounded(value: float, span: float) -> float:
    """Round down to the leading digit of the span."""
    digit = 10.0 ** math.floor(math.log10(span))
    return float(f"{math.floor(value / digit) * digit:.12g}")


def _power(low: float, high: float) -> int:
    """Return an exponent that is a multiple of 3, or 0 if numbers are short without one."""
    exponent = math.floor(math.log10(max(abs(low), abs(high))))
    return 0 if -2 <= exponent < 5 else exponent // 3 * 3


def _tick(axis: "Axis", count: int) -> None:
    from matplotlib import ticker

    written = ticker.ScalarFormatter(useOffset=False)
    written.set_scientific(False)
    axis.set_major_locator(ticker.MaxNLocator(count, steps=[1, 2, 5, 10]))
    axis.set_major_formatter(written)
