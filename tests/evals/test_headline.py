import dataclasses

import pytest

from jaxkd.evals import BITS_PER_BYTE, Headline
from jaxkd.evals.headline import AVERAGE_PRECISION, AVERAGE_PRECISION_50, ROLLOUT_ERROR
from jaxkd.runtime import configs


def test_a_headline_is_measured_by_an_evaluator_of_its_name_or_by_the_one_it_names():
    accuracy = Headline(metric="passed", title="", unit="", evaluator="generations", numerator="code_check/passed")
    assert (BITS_PER_BYTE.measured_by, accuracy.measured_by) == ("bits_per_byte", "generations")


def test_the_columns_are_those_that_are_named():
    plain = Headline(metric="loss", title="", unit="")
    assert plain.columns == ()
    assert BITS_PER_BYTE.columns == ("nats", "bytes")
    assert ROLLOUT_ERROR.columns == ("square",)


def test_a_headline_comes_back_from_json_and_one_of_an_older_file_has_the_defaults():
    assert configs.decode(configs.encode(BITS_PER_BYTE)) == BITS_PER_BYTE
    older = {"type": "jaxkd.evals:Headline", "metric": "loss", "title": "", "unit": "", "examples": "answers"}
    assert configs.decode(older) == Headline(metric="loss", title="", unit="", examples="answers")


def test_an_average_precision_has_an_interval_without_columns():
    for headline, metric in ((AVERAGE_PRECISION, "ap"), (AVERAGE_PRECISION_50, "ap50")):
        assert (headline.metric, headline.measured_by, headline.better) == (metric, "detection", "higher")
        assert (headline.columns, headline.has_interval) == ((), True)
        assert configs.decode(configs.encode(headline)) == headline
    assert BITS_PER_BYTE.has_interval
    assert not Headline(metric="ap", title="", unit="").has_interval
    for changes, found in (({"metric": "recall"}, "'recall' with 0"), ({"numerator": "ap"}, "'ap' with 1")):
        with pytest.raises(
            ValueError, match=f"metric must be one of ap, ap50, .*, ap_large without columns .* {found}"
        ):
            dataclasses.replace(AVERAGE_PRECISION, **changes)


def test_another_direction_and_half_a_ratio_are_refused():
    with pytest.raises(ValueError, match="better must be 'lower' or 'higher', got 'more' for bits_per_byte"):
        dataclasses.replace(BITS_PER_BYTE, better="more")
    with pytest.raises(ValueError, match="denominator must come with a numerator, got 'bytes' alone for loss"):
        Headline(metric="loss", title="", unit="", denominator="bytes")
