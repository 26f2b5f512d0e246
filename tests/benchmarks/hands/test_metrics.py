"""The bar of the metrics of hands: each equals a loop, in both precisions."""

import numpy as np
import pytest

from benchmarks.hands import metrics


@pytest.mark.slow
def test_every_row_holds():
    rows = list(metrics.rows(quick=True))
    assert len(rows) == 2 * 17 + 5
    assert {row.figure: row.value for row in rows if row.holds is False} == {}
    assert sum(row.holds is True for row in rows) == 2 * 17 + 2


def test_a_metric_that_is_off_or_nan_elsewhere_is_seen():
    expected = {"a": np.array([1.0, np.nan, 4.0])}
    assert metrics.differences({"a": expected["a"] + 0.5}, expected) == {"a": 0.125}
    assert metrics.differences({"a": np.ones(3)}, expected) == {"a": float("inf")}
    assert metrics.differences({"a": np.ones(2)}, expected) == {"a": float("inf")}
