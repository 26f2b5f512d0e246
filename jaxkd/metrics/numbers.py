"""The number that a worked answer ends in, exactly: marked as in GSM8K, boxed as in MATH, or simply the last one."""

import collections
import re
from decimal import Decimal
from fractions import Fraction
from typing import Literal, TypeAlias, get_args

from jaxkd.metrics.half_width import half_width

NumberRule: TypeAlias = Literal["auto", "gsm8k", "boxed", "last"]
"""Rule that finds the final number of a text."""

MAX_DIGITS = 1000
"""Most characters of a number that is read; Python refuses to convert integers of some thousands."""

# Hyphens and the en dash stand for a minus sign, the fraction slashes for a slash.  An em dash separates clauses.
_ASCII = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2212\ufe63", "-") | {"\u2044": "/", "\u2215": "/"})
# 1\,000 and 1{,}000 in LaTeX; thin spaces.
_GROUPED = re.compile(r"(?<=[0-9])(?:\{,\}|\\,|[\u2009\u202f])(?=[0-9]{3})")

_NUMBER = r"""
    (?:(?<![A-Za-z0-9_)\]}%-])(?P<sign>[-+]))?        # between two numbers it subtracts, or stands for "to"
    (?:\\?[$€£¥₹][ ]?)?
    (?:(?<![A-Za-z0-9_)\]}%-])(?P<inner>[-+]))?       # $-5
    (?:(?<![A-Za-z0-9_./])                            # not the 2 of H2O, of 1.2.3 or of 1/2/3
       (?P<decimal>(?>
         (?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,3}(?![A-Za-z0-9_]))?
         |\.[0-9]+)))?
    (?:[ ]?\\[dt]?frac[ ]?
         (?:\{[ ]?(?P<over>[-+]?[0-9]+)[ ]?\}[ ]?\{[ ]?(?P<under>[0-9]+)[ ]?\}|(?P<short>[0-9][ ]?[0-9]))
      |/(?P<divisor>[0-9]++)(?![/.][0-9]))?
"""
_ANY = re.compile(rf"(?=[-+0-9.$€£¥₹\\]){_NUMBER}", re.VERBOSE)
_MARKED = re.compile(rf"(?<!\#)\#{{4}}[ *]{{0,4}}{_NUMBER}(?!\.[ ]+\S)", re.VERBOSE)  # not the heading "#### 1. First"

_BRACES = re.compile(r"\\(?:boxed|fbox)\s?\{|\\[{}]|[{}]")
_WRAPPED = re.compile(r"\\(?:text|textbf|mathrm|mathbf|mbox)\s?\{([^{}]{0,200})\}")
_DECORATION = re.compile(r"\\left|\\right|\\[!;:]|\^\s?(?:\\circ|\{\\circ\})|°|\\?%")
_NAME = re.compile(r"\\?[A-Za-z]\w{0,20} ?= ?")
_UNIT = re.compile(r" ?\.?| ?[\u4e00-\u9fff][^0-9=+*\\-]*| [^0-9=+*\\-]*")


def final_number(text: str, rule: NumberRule = "auto") -> Decimal | Fraction | None:
    r"""Return the number that a reply or a reference solution ends in.

    Digits and signs may be full-width, and thousands separators, currencies and percent signs are ignored: `－１２３`,
    `-$123.` and `-123 %` are the same number.  A fraction is `3/4` or `\frac{3}{4}`, a mixed number `1\frac{3}{4}`.
    A comma separates thousands or numbers, never decimals.

    Args:
        text: text of any length; the time is proportional to it.
        rule: "gsm8k": the number after the first `####`; "boxed": the content of the last closed `\boxed{}`, which must
            be a number, with a name before `=` and a unit at most; "last": the last number of the text; "auto": the
            first of these that the text has.

    Returns:
        Exactly what is written, a fraction as `Fraction` and anything else as `Decimal`; None if the rule finds no
        number, or one with a denominator of 0 or of more than 1,000 digits.

    Raises:
        ValueError: an unknown rule.

    Source: GSM8K (Cobbe et al. 2021, arXiv 2110.14168), whose reference solutions end in `####`; MATH (Hendrycks et al.
    2021, arXiv 2103.03874), whose end in `\boxed{}`.  Deviation: the result is a number, not a string, and
    `#### 1. First` is a heading.

    Example:
        >>> final_number("It takes 3 hours at 6 km/h.\n#### 1,018"), final_number("Thus x = 3/4.")
        (Decimal('1018'), Fraction(3, 4))
    """
    if rule not in get_args(NumberRule):
        raise ValueError(f"rule must be one of {', '.join(get_args(NumberRule))}, got {rule!r}.")
    text = _GROUPED.sub("", half_width(text).translate(_ASCII))
    if rule in ("auto", "gsm8k"):
        marked = next(filter(_is_number, _MARKED.finditer(text)), None)
        if marked is not None or rule == "gsm8k":
            return None if marked is None else _value(marked)
    if rule in ("auto", "boxed"):
        content = _boxed(text)
        if content is not None or rule == "boxed":
            return None if content is None else _whole(content)
    last = collections.deque(filter(_is_number, _ANY.finditer(text)), maxlen=1)
    return _value(last[0]) if last else None


def equal_numbers(first: Decimal | Fraction | int | None, second: Decimal | Fraction | int | None) -> bool:
    """Whether two numbers are equal, exactly: 0.5, 0.50 and 1/2 are, 1/3 and 0.333 are not.

    Args:
        first: a number of `final_number`, or None where it found none.
        second: the other number, or None.

    Returns:
        True if both are numbers and equal; None equals nothing.

    Source: inferred.  Deviation: none.

    Example:
        >>> equal_numbers(final_number("50 cents"), final_number("$50.00")), equal_numbers(None, None)
        (True, False)
    """
    return first is not None and second is not None and first == second


def _is_number(match: re.Match[str]) -> bool:
    return any(match[name] is not None for name in ("decimal", "over", "short"))


def _value(match: re.Match[str]) -> Decimal | Fraction | None:
    if len(match[0]) > MAX_DIGITS:
        return None
    number = _unsigned(match)
    if number is None or (match["sign"] == "-") == (match["inner"] == "-"):
        return number
    # The minus operator would round a Decimal.
    return number.copy_negate() if isinstance(number, Decimal) else -number


def _unsigned(match: re.Match[str]) -> Decimal | Fraction | None:
    decimal = Decimal((match["decimal"] or "0").replace(",", ""))
    if match["divisor"] is not None:
        divisor = int(match["divisor"])
        return Fraction(decimal) / divisor if match["decimal"] and divisor else None
    if match["short"] is not None:
        over, under = int(match["short"][0]), int(match["short"][-1])
    elif match["over"] is not None:
        over, under = int(match["over"]), int(match["under"])
    else:
        return decimal
    mixed = match["decimal"] is not None
    # Neither 1.5\frac{1}{2} nor 1\frac{-1}{2} is a mixed number.
    if under == 0 or (mixed and (over < 0 or decimal != int(decimal))):
        return None
    return int(decimal) + Fraction(over, under)


def _boxed(text: str) -> str | None:
    r"""Return the content of the last `\boxed{}` that is closed."""
    last, opened = None, []
    for brace in _BRACES.finditer(text):
        if brace[0] == "}":
            begun = opened.pop() if opened else None
            if begun is not None and begun[0] != "{":
                last = slice(begun.end(), brace.start())
        elif not brace[0].startswith(("\\{", "\\}")):
            opened.append(brace)
    return None if last is None else text[last]


def _whole(content: str) -> Decimal | Fraction | None:
    """Return the number that a box holds; None if it holds anything else besides a name and a unit."""
    text = " ".join(_DECORATION.sub("", _WRAPPED.sub(r" \1", content)).split()).strip("$ ")
    name = _NAME.match(text)
    number = _ANY.match(text, name.end() if name else 0)
    if number is None or not _is_number(number) or not _UNIT.fullmatch(text, number.end()):
        return None
    return _value(number)
