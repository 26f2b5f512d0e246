import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxkd.evals.suites.transport.quantities import LENGTHS, Quantity, chinese, integer, near, quantities


@given(st.integers(1, 99_999_999))
def test_numerals_are_read_as_they_are_written(number):
    assert integer(chinese(number)) == number


@pytest.mark.parametrize(
    ("number", "text"),
    [(1, "一"), (10, "十"), (15, "十五"), (20, "二十"), (105, "一百零五"), (180, "一百八十"), (2_000, "二千"),
     (10_001, "一万零一"), (300_000, "三十万"), (120_500, "十二万零五百"), (1_010, "一千零一十")],
)  # fmt: skip
def test_numerals_of_statutes(number, text):
    assert chinese(number) == text


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("处三万元以上三十万元以下的罚款", ["三万元以上三十万元"]),
        ("暂扣证书三个月至十二个月", ["三个月至十二个月"]),
        ("自受理之日起二十个工作日内", ["二十个工作日"]),
        ("承担不超过百分之十的赔偿责任", ["百分之十"]),
        ("时速不得超过十五公里，并处警告", ["十五公里"]),
        ("轨距为1435毫米", ["1435毫米"]),
        ("自1998年1月1日起施行，三日内公布", ["三日"]),
        ("违法所得五倍以上十倍以下罚款", ["五倍以上十倍"]),
        ("依照本法第三十一条第二款", []),
        ("处五百元以上五日以下", ["五百元", "五日"]),
    ],
)
def test_quantities_of_a_text(text, found):
    assert [str(quantity) for quantity in quantities(text)] == found
    assert [text[quantity.start : quantity.end] for quantity in quantities(text)] == found


@pytest.mark.parametrize("text", ["十五公里", "三十日", "百分之十", "1435毫米", "三个月至十二个月", "五万元以上十万元"])
def test_near_quantities_are_others_of_the_same_kind(text):
    (quantity,) = quantities(text)
    others = near(quantity, [quantity])
    assert 3 <= len(others) <= 5
    assert len({str(other) for other in others} | {text}) == len(others) + 1
    assert all(other.kind == quantity.kind for other in others)
    assert all(quantities(str(other))[0] == other for other in others)
    differences = [quantity.difference(other) for other in others]
    assert differences == sorted(differences) and min(differences) > 0
    assert all(other.numbers[0] < other.numbers[-1] for other in others if other.join)


def test_ranges_are_taken_from_the_statutes_where_there_are_enough():
    known = [
        quantities(f"{low}万元以上{high}万元")[0] for low, high in zip("一二三四五六", "三四五六七八", strict=True)
    ]
    assert {other.numbers for other in near(known[0], known)} == {one.numbers for one in known[1:]}


def test_positions_do_not_make_quantities_different():
    assert Quantity(numbers=(3,), unit="日", start=1, end=3) == Quantity(numbers=(3,), unit="日")


@pytest.mark.slow
def test_articles_with_quantities(transport_sources):
    """83 articles have a quantity; 76 have one of money, time, a multiple or a share, that is, one besides lengths."""
    found = [quantities(article.text) for article in transport_sources.articles]
    assert sum(map(bool, found)) == 83
    assert sum(any(quantity.unit not in LENGTHS for quantity in one) for one in found) == 76
    for article, one in zip(transport_sources.articles, found, strict=True):
        assert all(str(quantity) == article.text[quantity.start : quantity.end] for quantity in one)
