import pytest

from jaxkd.evals.evaluator import Evaluation, Sample

EVALUATION = Evaluation(
    metrics={"bits_per_byte": 1.25, "answers": 2.0},
    keys=("os.path.join", "json.dumps"),
    per_example={"nats": (10.5, 0.1 + 0.2), "bytes": (12.0, 3.0)},
    samples=(Sample(prompt="def f(): <é>", reference="return 1\n", text='"\\n"'),),
)


def test_json_gives_an_equal_evaluation_back():
    assert Evaluation.from_json(EVALUATION.to_json()) == EVALUATION
    empty = Evaluation(metrics={})
    assert Evaluation.from_json(empty.to_json()) == empty


def test_a_column_has_one_value_a_key():
    with pytest.raises(ValueError, match=r"per_example\['nats'\] must have one value .* got 1 values and 2 keys"):
        Evaluation(metrics={}, keys=("a", "b"), per_example={"nats": (1.0,)})


@pytest.mark.parametrize("text", ["{", "[]", "3", '{"metrics": {}}', EVALUATION.to_json()[:-40]])
def test_other_text_is_refused(text):
    with pytest.raises(ValueError, match=r"text must be the JSON of an Evaluation, got .* Run the evaluation again"):
        Evaluation.from_json(text)
