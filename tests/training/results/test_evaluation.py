import dataclasses
import json

import pytest

from jaxkd.training import Evaluation
from jaxkd.training.results.evaluation import LearntEquation, Sample
from jaxkd.training.results.forecast import Forecast
from jaxkd.training.results.matched_image import MatchedImage
from jaxkd.training.results.picture import Overlay
from tests.report.studies import picture

FORECAST = Forecast(
    key="record <7>",
    names=("prey", "é"),
    times=(0.0, 0.1, 0.1 + 0.2),
    measured=((1.0, 2.0), (1.5, 2.5), (1e-300, -2.0)),
    forecast=((1.0, 2.0), (1e300, 7.0)),
)

MATCHED = MatchedImage(
    scores=(0.1 + 0.2, 0.1),
    classes=(3, 0),
    matched=(2**40 - 1, 0),
    ignored=(0, 2**39),
    truth_classes=(3, 3, 1),
    counted=(15, 0, 1),
)

EVALUATION = Evaluation(
    metrics={"bits_per_byte": 1.25, "answers": 2.0},
    keys=("os.path.join", "json.dumps"),
    per_example={"nats": (10.5, 0.1 + 0.2), "bytes": (12.0, 3.0)},
    samples=(Sample(prompt="def f(): <é>", reference="return 1\n", text='"\\n"'),),
    forecasts=(FORECAST, dataclasses.replace(FORECAST, key="b", forecast=())),
    equations=(LearntEquation(state="x", learnt="-1.01 x", truth="-x"), LearntEquation(state="y", learnt="0")),
    pictures=(
        picture("lesion <7>", group="severe", note="Dice .87"),
        picture(found=Overlay(boxes=((0.5, 1.0, 9.0, 1e9),), points=((0.1 + 0.2, -2.0), (3.0, 4.0)))),
    ),
    matches=(MATCHED, dataclasses.replace(MATCHED, truth_classes=(), counted=())),
)


def test_json_gives_an_equal_evaluation_back():
    assert Evaluation.from_json(EVALUATION.to_json()) == EVALUATION
    empty = Evaluation(metrics={})
    assert Evaluation.from_json(empty.to_json()) == empty


@pytest.mark.parametrize("name", ["forecasts", "equations", "pictures", "matches"])
def test_a_file_that_was_written_before_there_were_such_fields_reads(name):
    fields = json.loads(EVALUATION.to_json())
    del fields[name]
    assert Evaluation.from_json(json.dumps(fields)) == dataclasses.replace(EVALUATION, **{name: ()})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"names": ()}, r"names and times must hold at least one state and one sample, got 0 and 3 in 'record <7>'"),
        ({"times": ()}, r"names and times must hold at least one .* got 2 and 0"),
        ({"measured": FORECAST.measured[:2]}, r"measured must have one row .* got 2 and 2 rows for 3 times"),
        ({"forecast": ((1.0, 2.0),) * 4}, r"measured must have one row .* got 3 and 4 rows for 3 times"),
        ({"names": ("prey", "é", "z")}, r"one value for each of names in a row, got 2 values for prey, é, z"),
        ({"forecast": ((1.0, 2.0), (1.0,))}, r"one value for each of names in a row, got 1 values"),
    ],
)
def test_a_forecast_has_a_row_a_time_and_a_value_a_state(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(FORECAST, **changes)


@pytest.mark.parametrize("changes", [{"width": 0}, {"png": "AAAA"}, {"truth": {}}, {"colour": "red"}])
def test_a_file_with_a_picture_that_is_none_is_refused(changes):
    fields = json.loads(EVALUATION.to_json())
    fields["pictures"][1] |= changes
    with pytest.raises(ValueError, match="text must be the JSON of an Evaluation"):
        Evaluation.from_json(json.dumps(fields))


def test_a_column_has_one_value_a_key():
    with pytest.raises(ValueError, match=r"per_example\['nats'\] must have one value .* got 1 values and 2 keys"):
        Evaluation(metrics={}, keys=("a", "b"), per_example={"nats": (1.0,)})


def test_matches_are_those_of_each_image():
    with pytest.raises(ValueError, match="matches must be of each image in keys, got 1 images and 2 keys"):
        dataclasses.replace(EVALUATION, matches=(MATCHED,))


@pytest.mark.parametrize("text", ["{", "[]", "3", '{"metrics": {}}', EVALUATION.to_json()[:-40]])
def test_other_text_is_refused(text):
    with pytest.raises(ValueError, match=r"text must be the JSON of an Evaluation, got .* Run the evaluation again"):
        Evaluation.from_json(text)
