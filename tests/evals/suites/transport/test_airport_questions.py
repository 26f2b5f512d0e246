import csv
import math
import random
from collections import Counter, defaultdict
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from jaxkd.evals.suites.transport import sources
from jaxkd.evals.suites.transport.airport_questions import (
    LARGEST_SHARE,
    NEAR_KM,
    _shares_word,
    airport_choices,
    airport_statements,
)
from tests.tiny_transport import tiny_sources


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tiny_sources(tmp_path_factory.mktemp("airports"))


def truths(found):
    """Right value of each kind by the code of an airport."""
    return {
        airport.iata: {
            "city": airport.city,
            "country": found.countries[airport.country],
            "zone": airport.zone,
        }
        for airport in found.airports
        if airport.country in found.countries
    }


def check(found, rows):
    right = truths(found)
    for row in rows:
        assert row["options"][row["answer"]] == right[row["meta"]["iata"]][row["meta"]["kind"]]
        assert len(set(row["options"])) == 4


def test_choices_are_right_and_of_all_kinds(tiny):
    rows = airport_choices(tiny, count=15, rng=random.Random(0))
    check(tiny, rows)
    assert Counter(row["meta"]["kind"] for row in rows) == {"city": 5, "country": 5, "zone": 5}
    assert len({row["meta"]["iata"] for row in rows}) == 15
    assert {row["id"] for row in rows} == {f"T1-{place:03d}" for place in range(1, 16)}
    assert sorted(Counter(row["answer"] for row in rows).values()) == [3, 4, 4, 4]


def test_statements_are_true_in_half_of_the_rows(tiny):
    rows = airport_statements(tiny, count=12, rng=random.Random(0))
    right = truths(tiny)
    for row in rows:
        value = right[row["meta"]["iata"]][row["meta"]["kind"]]
        assert row["question"].endswith(f" {value}.") is row["answer"]
    assert Counter(row["answer"] for row in rows) == {True: 6, False: 6}


def test_no_country_has_more_than_its_share(tiny):
    rows = airport_choices(tiny, count=60, rng=random.Random(0))
    found = Counter((row["meta"]["kind"], row["meta"]["iata"][:2]) for row in rows)
    assert max(found.values()) == LARGEST_SHARE


def test_options_of_zones_are_no_aliases(tiny):
    rows = [row for row in airport_choices(tiny, count=15, rng=random.Random(1)) if row["meta"]["kind"] == "zone"]
    assert len(rows) == 5
    for row in rows:
        assert len({tiny.zone_offsets_s[zone] for zone in row["options"]}) == 4


@pytest.mark.parametrize(
    ("text", "name", "told"),
    [
        ("Malé", "Male International Airport", True),
        ("New York", "Newark Liberty International Airport", False),
        ("Buenos Aires", "Buenos Airport", True),
        ("Ub", "Ubari Airport", True),
        ("Arbil", "Erbil International Airport", True),
        ("Port_Moresby", "Jacksons International Airport", False),
    ],
)
def test_a_name_that_tells_the_answer_is_seen(text, name, told):
    assert _shares_word(text, name) is told


@pytest.fixture(scope="module")
def real_rows(transport_sources):
    return airport_choices(transport_sources, count=300, rng=random.Random(0))


@pytest.fixture(scope="module")
def table(transport_sources):
    with open(sources.fetch(sources.AIRPORTS), encoding="utf-8") as file:
        return {row["iata"]: row for row in csv.DictReader(file) if row["iata"]}


@pytest.mark.slow
def test_real_choices_are_right(transport_sources, real_rows, table):
    check(transport_sources, real_rows)
    for row in real_rows:
        facts, kind = table[row["meta"]["iata"]], row["meta"]["kind"]
        gold = row["options"][row["answer"]]
        assert facts["name"] in row["question"] and gold not in facts["name"]
        if kind != "country":
            assert gold == facts[{"city": "city", "zone": "tz"}[kind]]


@pytest.mark.slow
def test_real_options_of_zones_show_another_time(real_rows):
    """The operating system's or the `tzdata` package's database is the oracle."""

    def times(zone):
        return [datetime(2026, month, 15, 12, tzinfo=ZoneInfo(zone)).utcoffset() for month in (1, 7)]

    for row in real_rows:
        if row["meta"]["kind"] == "zone":
            gold = row["options"][row["answer"]]
            assert all(times(zone) != times(gold) for zone in row["options"] if zone != gold)


@pytest.mark.slow
def test_real_options_of_cities_are_far_away_and_in_the_same_country(real_rows, table):
    where = defaultdict(list)
    for facts in table.values():
        if "International Airport" in facts["name"]:
            where[facts["country"], facts["city"]].append((float(facts["lat"]), float(facts["lon"])))
    for row in real_rows:
        if row["meta"]["kind"] == "city":
            facts = table[row["meta"]["iata"]]
            here = float(facts["lat"]), float(facts["lon"])
            for city in set(row["options"]) - {facts["city"]}:
                assert min(_kilometres(here, there) for there in where[facts["country"], city]) > NEAR_KM


def _kilometres(one, other):
    """Law of cosines."""
    (a, b), (c, d) = (map(math.radians, place) for place in (one, other))
    cosine = math.sin(a) * math.sin(c) + math.cos(a) * math.cos(c) * math.cos(b - d)
    return 6371.0 * math.acos(min(1.0, cosine))
