"""The option that a free reply to a multiple-choice question chooses."""

import dataclasses
import enum
import itertools
import re
import string
from collections.abc import Iterator, Sequence, Set
from typing import Self

from jaxkd.metrics.mentions import CLOSE, OPEN, Mention, Strength, begins_line, ends_line, plain, unanimous

# A letter by itself: not in "B-road", "A's", "C++", "R&D" or "U.S.A.".
_LETTER = re.compile(
    r"(?<![A-Za-z0-9&])(?<![A-Za-z][-'’_.&])(?<![0-9][-'’_])[A-Za-z]"
    r"(?![A-Za-z0-9+#]|[-'’_&][A-Za-z0-9]|\.[A-Za-z](?![A-Za-z]))"
)
# "A train is ...", "I think ...": an article and a pronoun, unless the next word has a letter for its subject.
_ARTICLE = re.compile(
    r" (?!(?:is|was|isn|because|since|as|and|or|nor|but|would|seems|over|instead|rather|vs|cannot|can['’]?t|does|doesn"
    r")\b)[A-Za-zÀ-ɏ]{2}"
)
_PRONOUN = re.compile(r" (?!is\b)[A-Za-zÀ-ɏ]{2}")

_NEXT = r"(?<![A-Za-z0-9]['’])(?=[A-Za-z](?![A-Za-z0-9]))"
"""The place of a letter."""

# "class B", "A级", "A = 5": the letter is a name of something else.
_NAMED_BEFORE = re.compile(
    r"\b(?:class|type|category|group|plan|vitamin|grade|level|model|point|car|vehicle|driver|line|phase|section|part"
    r"|annex|appendix|zone|lane|route|platform|schedule|exit|gate|terminal) "
    rf"{_NEXT}",
    re.IGNORECASE,
)
_NAMED_AFTER = re.compile(
    "[级类型股柱字座段班组证照票站口超]|车(?![辆道速距身流主])|[点线区](?![亮火路段别间分])| ?(?:[=>+]|<(?!/))"
)

_FILLED = (
    r"(?:['’]s\b|[\s:=>,*_\"'})\]】」』—–-]|\b(?:is|was|be|would|should|must|will|likely|probably|most|clearly|obviously|definitely|therefore"
    r"|thus|then|choice|option|letter|answer|the|correct|best|right|to|this|question|here|so|i|think|believe|it)\b"
    r"|应该|应当|应|就|是|为|选项|选择|选|项|的|我|会|该|最终|正确){0,8}"
)
_FINAL = re.compile(
    rf"(?:\bfinal answer|\\boxed|\\fbox|最终答案|最后答案|最终选择){_FILLED}{OPEN}{_NEXT}", re.IGNORECASE
)
_ANNOUNCED = re.compile(
    r"(?:\b(?:answers?|ans|choice|solution|(?:correct|right|best) (?:option|one|response|statement)|choose|chose|chosen"
    r"|choosing|select|selected|selecting|pick|picked|picking|go with|going with|went with|opt for)\b"
    rf"|答案|答(?= ?:)|正确(?=[的选项答案说法做]{{0,3}}应?[是为:])|选择|选(?!项)){_FILLED}{OPEN}{_NEXT}",
    re.IGNORECASE,
)
_OF_OPTION = r"(?:选?项)?的?(?:说法|做法|表述)?"
_CONFIRMED = re.compile(
    rf"{CLOSE}(?: (?:is|must be|should be|would be|seems|looks)"
    r"(?: (?:the|most|likely|clearly|definitely|probably|indeed)){0,3} (?:correct|right|best|answer|true|appropriate)\b"
    rf"|{_OF_OPTION}(?:才?是|为|最)?(?:正确|对(?:的|[。,.;!\n]))|(?:选?项)?(?:才?是|为)(?:正确)?答案)",
    re.IGNORECASE,
)
_OPTION = re.compile(rf"(?:\b(?:option|choice)|选项) ?{OPEN}{_NEXT}", re.IGNORECASE)
_ENCLOSED = frozenset(("()", "[]", "{}", '""', "''", "“”", "‘’", "「」", "『』", "【】", "``", "**", "__"))
_DELIMITED = re.compile(rf"{CLOSE}[.):、]")
_ITEM = re.compile(r" ?选?项")
_BREAK = re.compile(rf"{CLOSE}(?:[.:,、。;!)]|[\s—–-]|[\u4e00-\u9fff])")

_DENIED_BEFORE = re.compile(
    r"(?:(?:\bnot|n['’]t|\bcannot|\bnever|\bnor|\bneither|\bwithout|\bexcept(?: for)?|\bexclud\w{1,4}|\beliminat\w{1,4}"
    r"|\brul\w{1,4} out|\binstead of|\brather than|\bthan|\bunlike|\bover)"
    r"(?: (?:be|choose|pick|select|go with|options?|choice|answer|the|necessarily|simply|just|either|both|think|believe"
    r"|it['’]s|it|is)){0,4}"
    r"|(?:不(?:应该|应当|应|能|会|要|该|可以|可|得|宜)?|非|勿|别|莫)(?:是|选择|选|为)(?:选项|答案)?"
    rf"|(?:排除|除了?|而非|并非|剔除|去掉)(?:选项)?):?{OPEN}{_NEXT}",
    re.IGNORECASE,
)
_WRONG = r"(?:not|never|wrong|incorrect|false|untrue|invalid|impossible|illegal)\b"
_DENIED_AFTER = re.compile(
    rf"{CLOSE}[.:,]?{CLOSE}(?: (?:is|was|seems|looks|would be|can be)"
    rf"(?: (?:clearly|definitely|obviously|also|simply|therefore)){{0,2}} {_WRONG}"
    r"| (?:isn['’]t|wasn['’]t|cannot|can['’]?t|doesn['’]t|does not|should not|would not)\b"
    rf"|{_OF_OPTION}(?:是|也|则|显然|明显|可以?|应|应该|被)?"
    r"(?:不正确|不对|不符|不选|不成立|不合理|不准确|不是(?:正确|答案)|错|有误|排除))",
    re.IGNORECASE,
)
_ALL_DENIED_AFTER = re.compile(
    rf"{CLOSE} (?:are|were)(?: (?:all|both|clearly|definitely|obviously|also)){{0,2}} {_WRONG}"
    rf"|{_OF_OPTION}(?:都|均|全)是?(?:不|错|有误|可?排除)",
    re.IGNORECASE,
)
_AND = re.compile(
    rf"{CLOSE} ?(?:/|、|&|\band|\bor|\bnor|\bvs\.?|和|或者?|与|及|跟) ?(?:option |选项)?{OPEN}", re.IGNORECASE
)
_COMMA = re.compile(rf"{CLOSE} ?, ?(?:(?:and|or) )?(?:option |选项)?{OPEN}| ", re.IGNORECASE)


class _Link(enum.Enum):
    """How a letter follows the one before it."""

    NONE = enum.auto()
    COMMA = enum.auto()
    """After a comma or a space: announced, or denied in the plural, together."""
    AND = enum.auto()
    """As in "A or B": announced or denied together."""


@dataclasses.dataclass(kw_only=True)
class _Letter:
    """A letter of a reply that stands by itself, and what is said of it."""

    value: int
    link: _Link
    strength: Strength
    denied_before: bool
    denied_after: bool
    all_denied_after: bool
    """Whether all letters of its list are denied, as in "A, B and C are wrong"."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Statements:
    """A plain reply and the places of letters after words that state something of them, found in one pass each."""

    text: str
    final: Set[int]
    announced: Set[int]
    options: Set[int]
    denied: Set[int]
    named: Set[int]

    @classmethod
    def of(cls, text: str) -> Self:
        """Search a plain reply."""
        patterns = {
            "final": _FINAL,
            "announced": _ANNOUNCED,
            "options": _OPTION,
            "denied": _DENIED_BEFORE,
            "named": _NAMED_BEFORE,
        }
        return cls(
            text=text,
            **{name: {match.end() for match in pattern.finditer(text)} for name, pattern in patterns.items()},
        )

    def letter(self, match: re.Match[str], count: int) -> _Letter | None:
        """Return what is said of a letter; None if it is part of something else, or beyond the options."""
        start, end = match.span()
        value, is_lower = string.ascii_uppercase.index(match[0].upper()), match[0].islower()
        if self._is_word(match) or start in self.named or _NAMED_AFTER.match(self.text, end):
            return None
        enclosed = self.text[start - 1] + self.text[end] in _ENCLOSED
        strength = self._strength(start, end, enclosed=enclosed)
        # A letter beyond the options counts where it is announced: the reply then chooses none of them.
        if value >= count and (is_lower or strength < Strength.ANNOUNCED):
            return None
        apart = enclosed or (strength == Strength.START and _DELIMITED.match(self.text, end))
        if is_lower and not apart and strength < Strength.ALONE:
            return None
        return _Letter(
            value=value,
            link=_Link.NONE,
            strength=strength,
            denied_before=start in self.denied,
            denied_after=_DENIED_AFTER.match(self.text, end) is not None,
            all_denied_after=_ALL_DENIED_AFTER.match(self.text, end) is not None,
        )

    def _is_word(self, match: re.Match[str]) -> bool:
        """Whether it is the article, which "option A says" does not have, or the pronoun."""
        if match[0] in "Aa":
            return match.start() not in self.options and _ARTICLE.match(self.text, match.end()) is not None
        return match[0] == "I" and _PRONOUN.match(self.text, match.end()) is not None

    def _strength(self, start: int, end: int, *, enclosed: bool) -> Strength:
        if start in self.final:
            return Strength.FINAL
        if start in self.announced or _CONFIRMED.match(self.text, end):
            return Strength.ANNOUNCED
        if begins_line(self.text, start):
            if ends_line(self.text, end):
                return Strength.ALONE
            if _BREAK.match(self.text, end):
                return Strength.START
        marked = enclosed or start in self.options or _DELIMITED.match(self.text, end) or _ITEM.match(self.text, end)
        return Strength.MARKED if marked else Strength.BARE


def option(reply: str, count: int) -> int | None:
    r"""Return the option that a reply chooses, 0 for A; None if it chooses none or several.

    A letter counts where it stands by itself, in half or full width: neither the article of "A train is ...", nor the
    pronoun I, nor a part of a word such as "B-road", nor a name such as "class B".  A letter that is denied ("not A",
    "A is wrong", 不选A, A错误) does not count.  Of the others, the clearest statements decide:

    1. a final answer: "Final answer: B", `\boxed{B}`, 最终答案;
    2. an announced one: "The answer is (B)", "I choose B", "B is correct", 答案：B, 选B, B正确;
    3. a letter that is a line by itself;
    4. a letter that begins a line, as in "B. Stop", unless the reply lists the options from A on;
    5. a letter that is set apart: (B), **B**, "B.", option B, B项;
    6. the first of all others.

    Letters in lower case count in 1 to 3, and in 4 and 5 where a bracket or a period sets them apart.

    Args:
        reply: text of any length; the time is proportional to it.
        count: number of options, from 1 to 26.

    Returns:
        A position below `count`; None if the clearest statements differ, as in "A or B", or announce a letter beyond
        the options.

    Raises:
        ValueError: a count outside 1 to 26.

    Source: inferred; benchmarks leave the extraction to the reader.  Deviation: none.

    Example:
        >>> option("A train is longer. The answer is (C).", 4), option("选Ｂ，不选A", 4), option("A or B", 4)
        (2, 1, None)
    """
    if not 1 <= count <= len(string.ascii_uppercase):
        raise ValueError(f"count must be from 1 to 26 options, one a letter, got {count}.")
    groups = [_mentions(group) for group in _groups(_Statements.of(plain(reply)), count)]
    clearer = [mention for group in groups for mention in group if mention.strength > Strength.BARE]
    chosen = unanimous(_unlisted(clearer) or next(filter(None, groups), []))
    return chosen if chosen is not None and chosen < count else None


def _groups(statements: _Statements, count: int) -> Iterator[list[_Letter]]:
    """Yield the letters of a reply, those of a list such as "A, B or C" together."""
    text, group, end = statements.text, [], 0
    for match in _LETTER.finditer(text):
        letter = statements.letter(match, count)
        if letter is None:
            continue
        if _AND.fullmatch(text, end, match.start()):
            letter.link = _Link.AND
        elif _COMMA.fullmatch(text, end, match.start()):
            letter.link = _Link.COMMA
        elif group:
            yield group
            group = []
        group.append(letter)
        end = match.end()
    yield group


def _mentions(group: Sequence[_Letter]) -> list[Mention[int]]:
    """Return the letters of a list that are not denied: what is said before or after it holds for all of them."""
    for before, letter in itertools.pairwise(group):
        letter.strength = max(letter.strength, before.strength)
        letter.denied_before |= letter.link is _Link.AND and before.denied_before
    for after, letter in itertools.pairwise(reversed(group)):
        letter.all_denied_after |= after.all_denied_after
        if after.link is _Link.AND:
            letter.denied_after |= after.denied_after
            letter.strength = max(letter.strength, after.strength)
    return [
        Mention(value=letter.value, strength=letter.strength)
        for letter in group
        if not (letter.denied_before or letter.denied_after or letter.all_denied_after)
    ]


def _unlisted(mentions: Sequence[Mention[int]]) -> list[Mention[int]]:
    """Take letters that begin lines for letters that are set apart where they are those of the options, from A on."""
    lists = [m.value for m in mentions if m.strength in (Strength.MARKED, Strength.START)]
    if list(dict.fromkeys(lists))[:2] != [0, 1]:
        return list(mentions)
    return [
        dataclasses.replace(mention, strength=Strength.MARKED) if mention.strength == Strength.START else mention
        for mention in mentions
    ]
