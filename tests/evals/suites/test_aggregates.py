import pytest

from jaxkd.evals.suites.aggregates import Aggregate, parse

VALUES = {"T1.accuracy": 80.0, "T2.accuracy": 60.0, "T4.rouge_l": 20.0, "T4.judge4": 90.0, "C.pass@1": 10.0}


def _of(text, values=VALUES):
    return Aggregate(name="X", expression=parse(text)).of(values)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("sum(T1.accuracy, T4.rouge_l)", 100.0),
        (" mean( T1.accuracy ,T2.accuracy ) ", 70.0),
        ("sum(T1.accuracy, mean(T4.rouge_l, T4.judge4))", 135.0),
        ("mean(C.pass@1)", 10.0),
        ("T1.accuracy", 80.0),
    ],
)
def test_values_by_hand(text, value):
    found = _of(text)
    assert (found.value, found.partial) == (value, False)


def test_missing_terms_are_left_out_and_named():
    found = _of("sum(T1.accuracy, mean(T4.judge4, T5.judge4))", {"T1.accuracy": 80.0, "T4.judge4": None})
    assert (found.value, found.missing, found.partial) == (80.0, ("T4.judge4", "T5.judge4"), True)
    assert _of("mean(T9.accuracy)").value is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("__import__('os').system('ls')", "__import__("),
        ("sum(T1.accuracy) + 1", "+ 1"),
        ("max(T1.accuracy)", "max("),
        ("sum(T1.accuracy", "its end"),
        ("sum()", ")"),
        ("sum(T1)", "T1)"),
        ("", "its end"),
        ("sum(1, 2)", "1, 2)"),
        ("sum(" * 30 + "T1.accuracy" + ")" * 30, "more than 20 calls inside one another"),
        ("sum(T1.accuracy))", ")"),
    ],
)
def test_anything_else_is_refused(text, found):
    with pytest.raises(ValueError, match="must consist of sum") as error:
        parse(text)
    assert repr(found) in str(error.value)
