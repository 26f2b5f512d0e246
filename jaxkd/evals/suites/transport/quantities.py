"""Quantities in Chinese statutes: where they stand, and others of the same kind and size."""

import dataclasses
import math
import re
from collections.abc import Iterable, Mapping, Sequence

_DIGITS = "零一二三四五六七八九"
_TENS = {"十": 10, "百": 100, "千": 1000}
_NUMBER = "[零一二三四五六七八九十百千万]+|[0-9]+"
LENGTHS = ("公里", "毫米", "米")
UNITS = ("元", "倍", "个工作日", "个月", "小时", "日", "年", *LENGTHS)
"""Units of money, multiples, time and length."""

_UNIT = "|".join(UNITS)
_QUANTITY = re.compile(
    rf"百分之(?P<share>{_NUMBER})"
    rf"|(?P<low>{_NUMBER})(?P<unit>{_UNIT})(?P<join>以上|至)(?P<high>{_NUMBER})(?P=unit)"
    rf"|(?P<value>{_NUMBER})(?P<single>{_UNIT})"
)
_DATE = re.compile(r"[0-9]{4}年([0-9]+月([0-9]+日)?)?")

_USUAL: Mapping[str, Sequence[int]] = {
    "元": [digit * 10**power for power in range(1, 7) for digit in (1, 2, 5)],
    "倍": [1, 2, 3, 4, 5, 10],
    "个工作日": [3, 5, 7, 10, 15, 20, 30, 45, 60],
    "个月": [1, 2, 3, 6, 9, 12, 18, 24, 36],
    "小时": [6, 12, 24, 36, 48, 72],
    "日": [1, 2, 3, 5, 7, 10, 15, 20, 30, 45, 60, 90, 120, 180, 365],
    "年": [1, 2, 3, 5, 8, 10, 15, 20],
    "公里": [10, 15, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120, 130, 150],
    "米": [1, 2, 3, 5, 10, 20, 30, 50, 100, 150, 200, 300, 500],
    "毫米": [762, 1000, 1067, 1435, 1520, 1668],
    "百分之": [1, 2, 3, 5, 10, 15, 20, 30, 40, 50, 60, 70, 80],
}
"""Values of each unit that a law could as well have."""
_NEAREST = 5
"""Values among which wrong ones are drawn."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Quantity:
    """A number, or two that are a range, with a unit."""

    numbers: tuple[int, ...]
    unit: str
    """`百分之`, or a unit of `UNITS`."""
    join: str = ""
    """Between the numbers of a range: `以上` or `至`."""
    arabic: bool = False
    start: int = dataclasses.field(default=0, compare=False)
    """Position of the first character in the text."""
    end: int = dataclasses.field(default=0, compare=False)
    """Position after the last one."""

    def __str__(self) -> str:
        texts = [str(number) if self.arabic else chinese(number) for number in self.numbers]
        return f"百分之{texts[0]}" if self.unit == "百分之" else self.join.join(f"{text}{self.unit}" for text in texts)

    @property
    def kind(self) -> tuple[str, str]:
        """Unit, and the word that joins a range."""
        return self.unit, self.join

    def difference(self, other: "Quantity") -> float:
        """Sum of the absolute logarithms of the ratios."""
        pairs = zip(self.numbers, other.numbers, strict=True)
        return sum(abs(math.log(here / there)) for here, there in pairs)


def chinese(number: int) -> str:
    """Return a positive integer below a hundred million in Chinese numerals, as statutes write it.

    Example:
        >>> chinese(15), chinese(180), chinese(105), chinese(300_000)
        ('十五', '一百八十', '一百零五', '三十万')
    """
    if number >= 10_000:
        rest = number % 10_000
        return f"{chinese(number // 10_000)}万{'零' if 0 < rest < 1000 else ''}{chinese(rest) if rest else ''}"
    text, gap = "", False
    for sign, unit in (("千", 1000), ("百", 100), ("十", 10), ("", 1)):
        digit = number // unit % 10
        if digit:
            text += ("零" if gap else "") + _DIGITS[digit] + sign
        gap = bool(text) and not digit
    return text.removeprefix("一") if 10 <= number < 20 else text


def integer(text: str) -> int:
    """Return the value of Chinese numerals, or of digits.

    Example:
        >>> integer("一百八十"), integer("三十万"), integer("十五"), integer("1435")
        (180, 300000, 15, 1435)
    """
    if text.isdecimal() and text.isascii():
        return int(text)
    total = section = digit = 0
    for sign in text:
        if sign == "万":
            total, section, digit = total + (section + digit) * 10_000, 0, 0
        elif sign in _TENS:
            section, digit = section + (digit or 1) * _TENS[sign], 0
        else:
            digit = _DIGITS.index(sign)
    return total + section + digit


def quantities(text: str) -> list[Quantity]:
    """Return the quantities of a text in order; dates are none."""
    dates = [match.span() for match in _DATE.finditer(text)]
    matches = [match for match in _QUANTITY.finditer(text) if not any(a <= match.start() < b for a, b in dates)]
    return [_quantity(match) for match in matches]


def _quantity(match: re.Match[str]) -> Quantity:
    texts = [match[name] for name in ("share", "low", "high", "value") if match[name]]
    return Quantity(
        numbers=tuple(map(integer, texts)),
        unit="百分之" if match["share"] else match["unit"] or match["single"],
        join=match["join"] or "",
        arabic=texts[0].isascii(),
        start=match.start(),
        end=match.end(),
    )


def near(quantity: Quantity, others: Iterable[Quantity]) -> list[Quantity]:
    """Return quantities of the same kind and of about the same size, the nearest first.

    Args:
        quantity: quantity that they differ from.
        others: quantities of the statutes; those of its kind are taken for ranges.

    Returns:
        At most five, of which no two are equal.
    """
    if quantity.join:
        candidates = {other.numbers for other in others if other.kind == quantity.kind}
        low, high = quantity.numbers
        usual = _USUAL[quantity.unit]
        if len(candidates - {quantity.numbers}) < _NEAREST:
            candidates |= {(low, value) for value in usual if value > low} | {(v, high) for v in usual if v < high}
    else:
        candidates = {(value,) for value in _USUAL[quantity.unit]}
    found = [dataclasses.replace(quantity, numbers=numbers) for numbers in candidates - {quantity.numbers}]
    return sorted(found, key=lambda other: (quantity.difference(other), other.numbers))[:_NEAREST]
