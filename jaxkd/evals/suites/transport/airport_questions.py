"""Questions on airports: city, country and time zone."""

import dataclasses
import itertools
import random
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

from rapidfuzz import fuzz

from jaxkd.evals.suites.transport.choices import OPTIONS, JsonLine, choice, half, numbered
from jaxkd.evals.suites.transport.sources import Airport, Sources

Kind = Literal["city", "country", "zone"]

NEAR_KM = 100.0
"""Distance within which an airport may serve another city too."""
LARGEST_SHARE = 4
"""Questions of one kind about the airports of one country."""

_NAME = re.compile(r"[A-Z][A-Za-z'. -]{3,40} International Airport")
"""Airports have no size in the data; those that are international by name are the larger ones."""
_CITY = re.compile(r"[A-Z][A-Za-z' -]{2,24}")
_ALIKE = 75.0
"""Percent of two words that are the same letters, above which one may be a spelling of the other."""
_TERRITORIES = (
    "AI AQ AS AW AX BL BM BQ BV CC CK CW CX EH FK FO GF GG GI GL GP GS GU HK HM IM IO JE KY MF MO MP MQ MS NC NF NU PF "
    "PM PN PR PS RE SH SJ SX TC TF TK TW UM VG VI WF XK YT"
)
_NOT_SOVEREIGN = frozenset(_TERRITORIES.split())
"""Territories of another country, and disputed ones: two options could be right."""
_DISPUTES = (
    frozenset({"AM", "AZ"}),
    frozenset({"CN", "IN"}),
    frozenset({"CY", "TR"}),
    frozenset({"GE", "RU"}),
    frozenset({"IN", "PK"}),
    frozenset({"RU", "UA"}),
)
"""Countries that claim land of one another: not options of one question."""
_DISPUTED_REGIONS = frozenset({"Europe/Simferopol"})
"""Time zones of regions that two countries claim."""
_SUMMER_BY_STANDARD = frozenset({"Europe/Dublin", "Africa/Casablanca", "Africa/El_Aaiun"})
"""Zones whose standard offset in the database is that of the summer, which compares with no other zone's."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Fact:
    """A property of an airport, and what else it could be."""

    kind: Kind
    airport: Airport
    truth: str
    others: tuple[str, ...]
    """Wrong values, plausible, all different, and no two alike."""


_QUESTIONS: dict[Kind, str] = {
    "city": "Which city does {name} serve?",
    "country": "In which country is {name}?",
    "zone": "Which IANA time zone has the local time of {name}?",
}
_STATEMENTS: dict[Kind, str] = {
    "city": "{name} serves the city of {value}.",
    "country": "{name} is in the following country: {value}.",
    "zone": "The local time at {name} is that of the IANA time zone {value}.",
}


def airport_choices(sources: Sources, *, count: int, rng: random.Random) -> list[JsonLine]:
    """Return `count` choices with four options, a third each on city, country and time zone."""
    return numbered(
        "T1",
        [
            choice(
                _QUESTIONS[fact.kind].format(name=_named(fact.airport)),
                fact.truth,
                fact.others,
                meta={"kind": fact.kind, "iata": fact.airport.iata},
            )
            for fact in _facts(sources, count, rng)
        ],
        rng,
    )


def airport_statements(sources: Sources, *, count: int, rng: random.Random) -> list[JsonLine]:
    """Return `count` statements, half of them true, a third each on city, country and time zone."""
    facts = _facts(sources, count, rng)
    rows = [
        {
            "question": _STATEMENTS[fact.kind].format(
                name=_named(fact.airport), value=fact.truth if true else fact.others[0]
            ),
            "answer": true,
            "meta": {"kind": fact.kind, "iata": fact.airport.iata},
        }
        for fact, true in zip(facts, half(len(facts), rng), strict=True)
    ]
    return numbered("T1-tf", rows, rng)


def _named(airport: Airport) -> str:
    return f"{airport.name} (IATA code {airport.iata})"


def _facts(sources: Sources, count: int, rng: random.Random) -> list[_Fact]:
    """Draw facts on different airports; fewer than `count` where the airports do not have so many."""
    airports = [
        airport
        for airport in sources.airports
        if _NAME.fullmatch(airport.name)
        and airport.country in sources.countries
        and airport.country not in _NOT_SOVEREIGN
        and airport.zone not in _DISPUTED_REGIONS
    ]
    shares: dict[Kind, int] = {"city": (count + 2) // 3, "country": (count + 1) // 3, "zone": count // 3}
    makers: dict[Kind, Callable[[Airport], _Fact | None]] = {
        "city": _Cities(airports, rng).fact,
        "country": _Countries(airports, sources, rng).fact,
        "zone": _Zones(airports, sources, rng).fact,
    }
    rng.shuffle(airports)
    facts: list[_Fact] = []
    used: set[str] = set()
    for kind, share in shares.items():
        found = (makers[kind](airport) for airport in airports if airport.name not in used)
        for fact in itertools.islice(_spread(found), share):
            facts.append(fact)
            used.add(fact.airport.name)
    return facts


def _spread(facts: Iterator[_Fact | None]) -> Iterator[_Fact]:
    """Yield the facts that there are, of no country more than its share."""
    of_country: Counter[str] = Counter()
    for fact in facts:
        if fact is not None and of_country[fact.airport.country] < LARGEST_SHARE:
            of_country[fact.airport.country] += 1
            yield fact


class _Cities:
    """Cities of the same country that are too far away to be served."""

    def __init__(self, airports: Sequence[Airport], rng: random.Random) -> None:
        self.rng = rng
        self.of_country: dict[str, dict[str, list[Airport]]] = defaultdict(lambda: defaultdict(list))
        for airport in airports:
            if _CITY.fullmatch(airport.city):
                self.of_country[airport.country][airport.city].append(airport)

    def fact(self, airport: Airport) -> _Fact | None:
        if not _CITY.fullmatch(airport.city) or _shares_word(airport.city, airport.name):
            return None
        others = [
            city
            for city, there in self.of_country[airport.country].items()
            if not _shares_word(city, airport.name)
            and not _shares_word(city, airport.city)
            and min(map(airport.distance_km, there)) > NEAR_KM
        ]
        return _fact("city", airport, airport.city, _draw(others, self.rng))


class _Countries:
    """Countries with airports in the same part of the world, which is the first part of a time zone's name."""

    def __init__(self, airports: Sequence[Airport], sources: Sources, rng: random.Random) -> None:
        self.rng = rng
        self.names = sources.countries
        self.of_region: dict[str, set[str]] = defaultdict(set)
        for airport in airports:
            self.of_region[_region(airport.zone)].add(airport.country)

    def fact(self, airport: Airport) -> _Fact | None:
        claimants = {code for dispute in _DISPUTES if airport.country in dispute for code in dispute}
        codes = self.of_region[_region(airport.zone)] - claimants - {airport.country}
        others = [self.names[code] for code in sorted(codes)]
        truth = self.names[airport.country]
        if _shares_word(truth, airport.name):
            return None
        others = [name for name in others if not _shares_word(name, airport.name) and not _shares_word(name, truth)]
        return _fact("country", airport, truth, _draw(others, self.rng))


class _Zones:
    """Time zones of the same part of the world with another standard time, so that no alias is among them."""

    def __init__(self, airports: Sequence[Airport], sources: Sources, rng: random.Random) -> None:
        self.rng = rng
        self.offsets_s = sources.zone_offsets_s
        zones = {airport.zone for airport in airports}
        self.zones = sorted(zone for zone in zones if zone in self.offsets_s and zone not in _SUMMER_BY_STANDARD)

    def fact(self, airport: Airport) -> _Fact | None:
        zone = airport.zone
        if zone not in self.zones or _shares_word(zone.rpartition("/")[2], airport.name):
            return None
        others: dict[int, str] = {}
        for other in self.rng.sample(self.zones, len(self.zones)):
            told = _shares_word(other.rpartition("/")[2], airport.name)
            if _region(other) == _region(zone) and self.offsets_s[other] != self.offsets_s[zone] and not told:
                others.setdefault(self.offsets_s[other], other)
        return _fact("zone", airport, zone, _draw(list(others.values()), self.rng))


def _region(zone: str) -> str:
    return zone.partition("/")[0]


def _draw(others: Sequence[str], rng: random.Random) -> tuple[str, ...]:
    return tuple(rng.sample(others, OPTIONS - 1)) if len(others) >= OPTIONS - 1 else ()


def _fact(kind: Kind, airport: Airport, truth: str, others: tuple[str, ...]) -> _Fact | None:
    return _Fact(kind=kind, airport=airport, truth=truth, others=others) if others else None


def _words(text: str) -> set[str]:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return {word for word in re.findall("[a-z]+", plain) if len(word) > 3}


def _shares_word(text: str, name: str) -> bool:
    """Whether a text has a word of a name, as Arbil does that of Erbil's airport: it gives away what it names."""
    pairs = itertools.product(_words(text), _words(name))
    return text.lower() in name.lower() or any(fuzz.ratio(one, other) > _ALIKE for one, other in pairs)
