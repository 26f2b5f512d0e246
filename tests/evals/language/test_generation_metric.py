"""Generation metrics: flaws of code, health beside another model, and a judge's verdicts."""

import dataclasses
import logging
from pathlib import Path

import numpy as np
import pytest

from jaxkd.data import Example
from jaxkd.data.text.standard_library import INSTRUCTION, SYSTEM
from jaxkd.evals import CodeCheck, GenerationMetric, Health, Judged, RougeL
from jaxkd.evals.judges.pairwise import Judge
from jaxkd.evals.language.generation_metric import Generation, baseline
from jaxkd.evals.language.samples import readable
from jaxkd.evals.language.win_rate import win_rate
from jaxkd.metrics import rouge
from jaxkd.training import Evaluation
from jaxkd.training.results.evaluation import Sample
from jaxkd.training.stage_folder import read_evaluations, write_evaluations

BODIES = ["    return width", "    return width * height", "    return (width"]


def written(texts, ended=None):
    examples = [
        Example(
            key=f"a.py::area{place}",
            group="a.py",
            messages=(("system", SYSTEM), ("user", f"{INSTRUCTION}def area(width, height):\n    'Return {place}.'")),
            response="    return width * height",
        )
        for place in range(len(texts))
    ]
    ended = [True] * len(texts) if ended is None else ended
    return [
        Generation(example=example, text=text, ended=end)
        for example, text, end in zip(examples, texts, ended, strict=True)
    ]


def recorded(folder, texts, ended=None, label="generations"):
    """A stage's folder in which a model has written these."""
    answers = written(texts, ended)
    evaluation = Evaluation(
        metrics={},
        keys=tuple(answer.example.key for answer in answers),
        per_example={"ended": tuple(float(answer.ended) for answer in answers)},
        samples=tuple(Sample(prompt=readable(answer.example), reference="", text=answer.text) for answer in answers),
    )
    # Answers to other prompts, from a file of the same name.
    other = dataclasses.replace(
        evaluation, samples=tuple(dataclasses.replace(one, prompt="Another.") for one in evaluation.samples)
    )
    folder.mkdir()
    write_evaluations(folder, {"suite": Evaluation(metrics={"length": 1.0}), "others": other, label: evaluation})
    return str(folder)


class Longer(Judge):
    """Finds the longer answer better."""

    def __call__(self, questions):
        found = [np.sign(len(one.first) - len(one.second)) for one in questions]
        return [{1: "first", 0: "tie", -1: "second"}[int(sign)] for sign in found]


class First(Judge):
    """Reads one answer alone."""

    def __call__(self, questions):
        return ["first"] * len(questions)


def test_code_is_checked_behind_its_signature():
    found = CodeCheck()(written(BODIES))
    assert found.per_example["passed"] == (0.0, 1.0, 0.0)
    assert found.metrics["passed"] == pytest.approx(1 / 3)
    assert found.metrics["unused"] == found.metrics["syntax"] == pytest.approx(1 / 3)
    assert found.metrics["repeated"] == 0
    assert found.keys == ("a.py::area0", "a.py::area1", "a.py::area2")


def test_other_answers_are_those_of_the_data_or_of_a_stage(tmp_path):
    answers = written(BODIES)
    assert [one.text for one in baseline(answers, None)] == ["    return width * height"] * 3
    other = recorded(tmp_path / "sft", ["one", "two", "three"], [True, False, True])
    found = baseline(answers, other)
    assert [(one.text, one.ended) for one in found] == [("one", True), ("two", False), ("three", True)]
    assert [one.example for one in found] == [one.example for one in answers]
    labelled = recorded(tmp_path / "dpo", ["four", "five", "six"], label="benign")
    assert [one.text for one in baseline(answers, labelled)] == ["four", "five", "six"]


def test_a_stage_that_answered_something_else_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"against must be the folder of a finished stage .* has measured nothing"):
        baseline(written(BODIES), str(tmp_path))
    fewer = recorded(tmp_path / "sft", ["one", "two"])
    with pytest.raises(ValueError, match=r"the same 3 prompts in their order, .* with 2, of which 2 are among them"):
        baseline(written(BODIES), fewer)


def test_health_is_told_beside_the_reference(tmp_path, caplog):
    other = recorded(tmp_path / "sft", ["One planet, or two.", "No idea, sorry."])
    with caplog.at_level(logging.WARNING):
        found = Health(against=other)(written(["A star, yes yes yes", "A moon"], [True, False])).metrics
    assert "generation health: 50.0% of the answers end in a loop" in caplog.text
    # The loop, and the one that was cut.
    assert (found["findings"], found["loops"], found["unended"], found["length"]) == (2, 0.5, 0.5, 4.0)
    assert (found["distinct_1"], found["distinct_in_tails_1"], found["emoji"]) == (0.625, 1.0, 0.0)
    caplog.clear()
    assert Health()(written(["    return width * height"] * 2)).metrics["findings"] == 0
    assert not caplog.text


def test_the_measures_of_health_have_the_columns_that_they_name():
    found = Health()(written(["A star, yes yes yes", "A moon :)"], [True, False]))
    assert found.per_example == {"loops": (1, 0), "emoji": (0, 1), "unended": (0, 1)}
    assert found.keys == ("a.py::area0", "a.py::area1")
    for measure in Health().measures():
        assert measure.metric in found.metrics
        if measure.numerator is not None:
            column = found.per_example[measure.numerator]
            assert sum(column) / len(column) == found.metrics[measure.metric]


def test_findings_are_told_by_the_metrics_that_they_are_about(tmp_path):
    texts, before = ["A star, yes yes yes", "A moon"], ["One planet, or two.", "No idea, sorry."]
    folders = (recorded(tmp_path / name, side) for name, side in (("dpo", texts), ("sft", before)))
    ours, theirs = (read_evaluations(Path(folder))["generations"] for folder in folders)
    expected = "50.0% of the answers end in a loop, 0.0% of the reference's: 'A star, yes yes yes'"
    assert Health(against="elsewhere").findings(ours, theirs) == {"loops": expected}
    assert Health().findings(theirs, theirs) == {}
    assert CodeCheck().findings(ours, theirs) is None
    longer = recorded(tmp_path / "long", [f"{number} round" + " and round" * 40 for number in range(2)], [False, False])
    varied = recorded(tmp_path / "varied", [" ".join(f"{n}_{word}" for word in range(90)) for n in range(2)])
    ours, theirs = (read_evaluations(Path(folder))["generations"] for folder in (longer, varied))
    # Each of them is a metric that has a row.
    assert (
        Health().findings(ours, theirs).keys()
        == {*("repeated", "loops", "shared_end", "unended", "distinct_in_tails_2")}
        == {one.metric for one in Health().measures()} - {"emoji"}
    )


def test_other_metrics_say_what_they_compare():
    assert [(one.metric, one.numerator, one.better) for one in CodeCheck().measures()] == [
        ("passed", "passed", "higher")
    ]
    (over_data,) = Judged(judge=First()).measures()
    assert (over_data.name, over_data.reference) == ("win rate over the data", None)
    (over_start,) = Judged(judge=First(), against="stage:sft").measures()
    assert (over_start.name, over_start.reference, over_start.at_reference) == ("win rate over", "stage:sft", 0.5)
    assert over_start.numerator == "score"

    class Bare(GenerationMetric):
        name = "bare"

        def __call__(self, answers):
            raise NotImplementedError

    assert Bare().measures() == ()
    assert Bare().findings(None, None) is None


def test_each_pair_is_judged_in_both_orders(tmp_path):
    other = recorded(tmp_path / "sft", ["    return", "    return width - height", "    return (width"])
    found = Judged(judge=Longer(), against=other)(written(BODIES))
    assert found.per_example["score"] == (1.0, 0.5, 0.5)
    expected = {"win_rate": 2 / 3, "wins": 1 / 3, "ties": 2 / 3, "losses": 0, "consistent": 1, "position_bias": 0}
    for name, value in expected.items():
        assert found.metrics[name] == pytest.approx(value)
    assert found.metrics["pairs"] == 3
    assert found.metrics["low"] <= found.metrics["win_rate"] <= found.metrics["high"]


def test_a_judge_that_reads_one_answer_finds_nothing_and_is_found_out(tmp_path):
    other = recorded(tmp_path / "sft", ["a", "b", "c"])
    found = Judged(judge=First(), against=other)(written(BODIES)).metrics
    assert (found["win_rate"], found["consistent"], found["position_bias"], found["ties"]) == (0.5, 0, 1, 1)


def test_the_interval_of_a_win_rate_is_that_of_a_share():
    verdicts = ["first"] * 60 + ["second"] * 40
    swapped = ["second"] * 60 + ["first"] * 40
    interval = win_rate(verdicts, swapped).interval
    assert interval.estimate == 0.6
    # 1.96 standard errors of a share of 100.
    assert interval.low == pytest.approx(0.6 - 1.96 * 0.049, abs=0.012)
    assert interval.high == pytest.approx(0.6 + 1.96 * 0.049, abs=0.012)
    with pytest.raises(ValueError, match="a verdict a pair, and at least one, got 2 and 1"):
        win_rate(["first", "tie"], ["tie"])
    with pytest.raises(ValueError, match="a verdict a pair, and at least one, got 0 and 0"):
        win_rate([], [])


def test_the_other_side_has_the_rest():
    verdicts, swapped = ["first", "tie", "second", "first"], ["first", "second", "first", "tie"]
    ours, theirs = win_rate(verdicts, swapped), win_rate(swapped, verdicts)
    np.testing.assert_allclose(np.add(ours.scores, theirs.scores), 1)
    assert ours.position_bias == theirs.position_bias
    assert ours.consistent == theirs.consistent


def test_a_measure_of_your_own_needs_a_name_and_a_call():
    with pytest.raises(TypeError, match="abstract"):
        GenerationMetric()


def test_rouge_is_the_mean_over_the_answers():
    """The data's answer has three words, of which the answers have two, three and two."""
    found = RougeL()(written(BODIES))
    values = (0.8, 1.0, 0.8)
    assert found.per_example["rouge_l[word]"] == pytest.approx(values)
    assert found.metrics == {"rouge_l[word]": pytest.approx(sum(values) / 3)}
    (measure,) = RougeL().measures()
    assert (measure.name, measure.better) == ("Rouge-L against the data's answers, by word", "higher")
    assert RougeL().columns()[0].metric == measure.metric == measure.numerator


def test_rouge_of_a_package_that_is_missing_is_refused_before_any_text(monkeypatch):
    monkeypatch.setattr(rouge, "find_spec", lambda name: None)
    rouge._stemming.cache_clear()
    with pytest.raises(ModuleNotFoundError, match="tokens='stem' needs rouge_score"):
        RougeL(tokens="stem")
