"""The share of a batch's rows that one process takes."""

import pytest

from jaxkd.share import WHOLE, Share


def test_shares_are_disjoint_and_all_of_the_rows():
    rows = list(range(12))
    assert [row for index in range(3) for row in rows[Share(index=index, count=3).rows(12)]] == rows
    assert rows[WHOLE.rows(12)] == rows


def test_one_process_takes_all():
    assert Share.of_process() == WHOLE


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"count": 0}, "count must be at least 1, got 0"),
        ({"index": 2, "count": 2}, r"index must be in \[0, 2\), got 2"),
        ({"index": -1}, r"index must be in \[0, 1\), got -1"),
    ],
)
def test_a_share_that_is_none_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Share(**fields)


def test_rows_that_the_shares_do_not_divide_are_refused():
    with pytest.raises(ValueError, match=r"rows must be .* got 7 rows for 3 processes\. The nearest: 6\."):
        Share(count=3).rows(7)
