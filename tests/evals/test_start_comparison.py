"""Models beside the start of their study: hand values, laws, and examples that differ."""

import dataclasses
import random

import numpy as np
import pytest

from jaxkd.data import Jsonl
from jaxkd.evals import BitsPerByte, Headline, Health, Refusals
from jaxkd.evals.bootstrap import paired_bootstrap
from jaxkd.evals.comparison import compare
from jaxkd.evals.start_comparison import (
    NO_INTERVAL,
    NOT_DISTINGUISHABLE,
    Finding,
    MeasuredModel,
    compare_with_start,
)
from jaxkd.training import Evaluation, Evaluator, Measure
from jaxkd.training.results.evaluation import Sample
from tests.generated_texts import generated, generations

SHARE = Measure(metric="share", name="share", better="higher", numerator="right")
HARMFUL, BENIGN = generations(Refusals(prompts="harmful")), generations(Refusals(prompts="benign"), label="benign")
ATTACK, OVER_REFUSAL = "attack success, by pattern", "over-refusal, by pattern"
CLOSER = " I hope that this helps you, and have a great day! :)"


class Named(Evaluator):
    """Evaluator with these measures, and these findings."""

    def __init__(self, *measures, name="e", found=None):
        self._name, self._measures, self._found = name, measures, found

    @property
    def name(self):
        return self._name

    def measures(self):
        return self._measures

    def findings(self, evaluation, start):
        return self._found

    def __call__(self, model):
        raise NotImplementedError


def evaluation(values, *, metric="share", column="right", keys=None, prompts=None):
    keys = tuple(f"k{number}" for number in range(len(values))) if keys is None else tuple(keys)
    return Evaluation(
        metrics={metric: float(np.mean(values))},
        keys=keys,
        per_example={column: tuple(map(float, values))},
        samples=tuple(Sample(prompt=prompt, reference="", text="") for prompt in prompts or ()),
    )


def model(label, *evaluations, evaluators=None):
    """A model with these evaluations of one evaluator, one for each seed."""
    evaluators = (Named(SHARE),) if evaluators is None else evaluators
    found = {seed: one if isinstance(one, dict) else {"e": one} for seed, one in enumerate(evaluations)}
    measures = tuple((one.name, measure) for one in evaluators for measure in one.measures())
    return MeasuredModel(label=label, evaluators=evaluators, evaluations=found, measures=measures)


def only(comparison):
    (row,) = comparison.measures
    (found,) = row.models
    return row, found


BEFORE = [0, 0, 1, 0, 1, 0, 0, 1, 0, 0]
AFTER = [1, 1, 1, 0, 1, 1, 1, 1, 1, 0]


def test_hand_values():
    row, found = only(compare_with_start(model("sft", evaluation(BEFORE)), [model("dpo", evaluation(AFTER))]))
    assert (row.name, row.evaluator, row.examples, row.start) == ("share", "e", 10, 0.3)
    assert (found.label, found.value, found.difference) == ("dpo", 0.8, pytest.approx(0.5))
    assert found.interval.estimate == found.difference
    assert found.verdict == "better than its start"
    assert found.is_clear


def test_the_interval_is_that_of_the_paired_bootstrap_over_examples_and_seeds():
    before, after = ([np.roll(one, seed).astype(float) for seed in range(3)] for one in (BEFORE, AFTER))
    sides = [model(name, *map(evaluation, values)) for name, values in (("sft", before), ("dpo", after))]
    settings = {"samples": 300, "seed": 4, "confidence": 0.9}
    _, found = only(compare_with_start(sides[0], sides[1:], **settings))
    assert found.interval == paired_bootstrap(np.stack(after), np.stack(before), np.ones(10), **settings)
    headline = Headline(metric="share", title="", unit="", numerator="right")
    pairs = [list(map(evaluation, values)) for values in (after, before)]
    assert found.interval == compare("dpo", pairs[0], "sft", pairs[1], headline=headline, **settings).interval


def test_a_ratio_is_compared_as_its_evaluator_computes_it():
    (measure,) = BitsPerByte(source=Jsonl(test="x")).measures()
    nats, sizes = np.array([[3.0, 9.0, 2.5], [2.0, 8.0, 2.5]]), np.array([4.0, 11.0, 5.0])
    bits = nats.sum(axis=1) / np.log(2) / sizes.sum()
    sides = [
        Evaluation(
            metrics={"bits_per_byte": value},
            keys=("a", "b", "c"),
            per_example={"nats": tuple(row), "bytes": tuple(sizes)},
        )
        for row, value in zip(nats, bits, strict=True)
    ]
    first, second = (model(name, one, evaluators=(Named(measure),)) for name, one in zip("ab", sides, strict=True))
    _, found = only(compare_with_start(first, [second], samples=200))
    assert found.interval == paired_bootstrap(nats[1], nats[0], sizes, unit_size=np.log(2), samples=200)
    assert found.difference == pytest.approx(bits[1] - bits[0])
    assert found.verdict == NOT_DISTINGUISHABLE, "the third example is the same"


def test_a_model_is_not_distinguishable_from_itself():
    texts = ["I can't help with that.", "Sure: one two.", "Yes yes yes yes", "No way :)"]
    evaluator = generations(Refusals(prompts="harmful"), Health())
    itself = {evaluator.name: generated(evaluator, texts, ended=[True, False, True, True])}
    sides = [model(name, itself, itself, evaluators=(evaluator,)) for name in ("sft", "again")]
    comparison = compare_with_start(sides[0], sides[1:], samples=100)
    assert comparison.findings == ()
    assert comparison.searched == ("again",)
    rows = {row.name: (row.start, row.models[0]) for row in comparison.measures if row.evaluator is not None}
    assert len(rows) == 8
    for start, found in rows.values():
        assert found.value == start
        assert found.difference == 0
        assert found.verdict in (NOT_DISTINGUISHABLE, NO_INTERVAL)
        assert not found.is_clear
    assert {name for name, (_, found) in rows.items() if found.verdict == NO_INTERVAL} == {
        "answers with one end of 8 words",
        "repetition within an answer",
        "distinct word pairs in the last 32 words",
    }


def test_the_order_of_the_examples_does_not_matter():
    keys, prompts = list("aabcdefghi"), [f"{number}?" for number in (0, 0, *range(8))]
    start = model("sft", evaluation(BEFORE, keys=keys, prompts=prompts))
    ordered = only(compare_with_start(start, [model("dpo", evaluation(AFTER, keys=keys, prompts=prompts))]))
    # Answers to one prompt are told apart by their order alone.
    order = [0, 1, *random.Random(0).sample(range(2, 10), 8)]
    shuffled = [[values[place] for place in order] for values in (AFTER, keys, prompts)]
    assert shuffled[1] != keys
    other = evaluation(shuffled[0], keys=shuffled[1], prompts=shuffled[2])
    assert only(compare_with_start(start, [model("dpo", other)])) == ordered


@pytest.mark.parametrize(
    ("better", "values", "verdict"),
    [
        ("lower", (BEFORE, AFTER), "worse than its start"),
        (None, (BEFORE, AFTER), "higher than its start"),
        (None, (AFTER, BEFORE), "lower than its start"),
        ("higher", (BEFORE, BEFORE[::-1]), NOT_DISTINGUISHABLE),
    ],
)
def test_a_verdict_is_plain_words(better, values, verdict):
    evaluators = (Named(dataclasses.replace(SHARE, better=better)),)
    sides = [model(name, evaluation(one), evaluators=evaluators) for name, one in zip("ab", values, strict=True)]
    assert only(compare_with_start(sides[0], sides[1:]))[1].verdict == verdict


def test_a_model_without_the_metric_has_an_empty_value():
    other = dataclasses.replace(evaluation(BEFORE), metrics={"another": 1.0})
    comparison = compare_with_start(
        model("sft", evaluation(BEFORE)), [model("a", other), model("b", {}), model("c", evaluation(AFTER))]
    )
    (row,) = comparison.measures
    assert [one.value for one in row.models] == [None, None, 0.8]
    assert [one.verdict for one in row.models] == ["", "", "better than its start"]
    # The start may lack it, too.
    row, found = only(compare_with_start(model("sft", other), [model("c", evaluation(AFTER))]))
    assert (row.start, found.value, found.difference, found.verdict) == (None, 0.8, None, "")
    assert compare_with_start(model("sft", other), [model("a", other)]).measures == ()


def test_a_figure_without_columns_has_a_difference_and_no_interval():
    bare = [dataclasses.replace(evaluation(values), per_example={}) for values in (BEFORE, AFTER)]
    one, infinite = [evaluation(values[:1]) for values in (BEFORE, AFTER)], evaluation([0.5, np.inf])
    for before, after in (bare, one, (evaluation([0.5, 0.5]), infinite)):
        _, found = only(compare_with_start(model("sft", before), [model("dpo", after)]))
        assert found.difference == after.metrics["share"] - before.metrics["share"]
        assert (found.interval, found.verdict, found.is_clear) == (None, NO_INTERVAL, False)


def test_seeds_count_where_both_were_measured():
    first, second = evaluation(BEFORE), evaluation(AFTER)
    _, found = only(compare_with_start(model("sft", first, first), [model("dpo", second)]))
    assert found.difference == pytest.approx(0.5)
    later = dataclasses.replace(model("dpo", second), evaluations={7: {"e": second}})
    _, found = only(compare_with_start(model("sft", first), [later]))
    assert (found.value, found.difference) == (0.8, None)


def test_the_start_has_the_value_of_the_reference_that_it_is():
    kl = Measure(metric="kl", name="KL to the start", better=None, numerator="kl", reference="x", at_reference=0.0)
    nats = [0.5, 1.5, 1.0, 0.8]
    after = model("dpo", evaluation(nats, metric="kl", column="kl"), evaluators=(Named(kl),))
    before = model("sft", evaluation(BEFORE[:4]), evaluators=(Named(SHARE),))
    rows = {row.name: row for row in compare_with_start(before, [after], samples=200).measures}
    (found,) = rows["KL to the start"].models
    assert (rows["KL to the start"].start, found.value, found.difference) == (0.0, 0.95, 0.95)
    assert found.interval == paired_bootstrap(np.array(nats), np.zeros(4), np.ones(4), samples=200)
    # A ratio of 0.5 bits per byte, in nats and bytes.
    ratio = dataclasses.replace(kl, denominator="bytes", unit_size=np.log(2), at_reference=0.5)
    weighed = evaluation(nats, metric="kl", column="kl")
    sizes = np.array([1.0, 2.0, 3.0, 4.0])
    weighed = dataclasses.replace(weighed, per_example=weighed.per_example | {"bytes": tuple(sizes)})
    (row,) = [
        one
        for one in compare_with_start(before, [model("dpo", weighed, evaluators=(Named(ratio),))], samples=50).measures
        if one.name == "KL to the start"
    ]
    half = 0.5 * np.log(2) * sizes
    expected = paired_bootstrap(np.array(nats), half, sizes, unit_size=np.log(2), samples=50)
    assert (row.start, row.models[0].interval) == (0.5, expected)
    # Another reference's is not the start's, and another measure of one name is not compared with it.
    elsewhere = dataclasses.replace(kl, name="KL to dpo_0.1", at_reference=None)
    before = model("sft", evaluation([9.0] * 4, metric="kl", column="kl"), evaluators=(Named(elsewhere),))
    rows = {row.name: row for row in compare_with_start(before, [after], samples=10).measures}
    assert (rows["KL to dpo_0.1"].start, rows["KL to dpo_0.1"].models[0].value) == (9.0, None)
    assert (rows["KL to the start"].start, rows["KL to the start"].models[0].value) == (0.0, 0.95)


def measured(label, harmful, benign, evaluators=(HARMFUL, BENIGN)):
    texts = {one.name: generated(one, side) for one, side in ((HARMFUL, harmful), (BENIGN, benign))}
    return model(label, {one.name: texts[one.name] for one in evaluators}, evaluators=evaluators)


NO, YES = ["I can't help with that."] * 4, ["Sure: one.", "Sure: two.", "Sure: three.", "Sure: four."]


@pytest.mark.parametrize("evaluators", [(HARMFUL, BENIGN), (BENIGN, HARMFUL)])
def test_attack_success_and_over_refusal_stand_side_by_side(evaluators):
    sides = [measured(name, *texts, evaluators) for name, texts in (("sft", (YES, YES)), ("dpo", (NO, NO)))]
    rows = compare_with_start(sides[0], sides[1:], samples=50).measures
    names = [row.name for row in rows]
    assert {*names[:2]} == {ATTACK, OVER_REFUSAL}
    assert names[2:] == ["length (generations)", "length (benign)"][:: 1 if evaluators[0] is HARMFUL else -1]
    found = {row.name: (row.start, row.models[0].value, row.models[0].verdict) for row in rows}
    assert found[ATTACK] == (1, 0, "better than its start")
    assert found[OVER_REFUSAL] == (0, 1, "worse than its start")


@pytest.mark.parametrize(("evaluator", "missing"), [(HARMFUL, OVER_REFUSAL), (BENIGN, ATTACK)])
def test_one_of_them_alone_is_followed_by_an_empty_row(evaluator, missing):
    sides = [measured(name, texts, texts, (evaluator,)) for name, texts in (("sft", YES), ("dpo", NO))]
    rows = compare_with_start(sides[0], sides[1:], samples=50).measures
    assert [row.name for row in rows][1:] == [missing, "length"]
    assert (rows[1].evaluator, rows[1].start, rows[1].models[0].value, rows[1].models[0].verdict) == (None,) * 3 + ("",)


def test_findings_are_against_the_start_and_mark_their_rows():
    evaluator = generations(Health(), label="open")
    planets = [f"The planet number {n} is made of rock, and its year has {30 * n + 7} days." for n in range(20)]
    closed = [f"{text}{CLOSER}" for text in planets]
    sides = [
        model(name, *({"open": generated(evaluator, texts)} for texts in seeds), evaluators=(evaluator,))
        for name, seeds in (("sft", (planets, planets)), ("dirty", (closed, planets)), ("clean", (planets, planets)))
    ]
    comparison = compare_with_start(sides[0], sides[1:], samples=50)
    assert comparison.searched == ("dirty", "clean")
    assert {one.metric for one in comparison.findings} == {"health/shared_end", "health/distinct_in_tails_2"}
    (end,) = [one for one in comparison.findings if one.metric == "health/shared_end"]
    assert (end.label, end.evaluator, end.seeds) == ("dirty", "open", (0,))
    assert end.text.startswith("100.0% of the answers have one end, 5.0% of the reference's: '")
    rows = {row.measure.metric: row.models for row in comparison.measures}
    shared = rows["health/shared_end"]
    assert [(one.verdict, one.is_clear) for one in shared] == [("no interval; finding", True), ("no interval", False)]
    assert shared[0].value == pytest.approx((1 + 0.05) / 2), "the mean over the seeds"
    assert rows["health/emoji"][0].verdict == NOT_DISTINGUISHABLE, "at one of two seeds"
    assert not any(one.found for metric, of in rows.items() if metric == "health/loops" for one in of)


def test_a_finding_of_several_seeds_is_one_and_an_evaluator_may_look_for_none():
    wrong = Named(SHARE, found={"share": "It is wrong."})
    sides = [
        model("sft", evaluation(BEFORE), evaluation(BEFORE)),
        model("dpo", evaluation(AFTER), evaluation(AFTER), evaluators=(wrong,)),
        model("kto", evaluation(AFTER)),
        model("gone", {}, evaluators=(wrong,)),
    ]
    comparison = compare_with_start(sides[0], sides[1:], samples=10)
    expected = Finding(label="dpo", evaluator="e", metric="share", text="It is wrong.", seeds=(0, 1))
    assert (comparison.findings, comparison.searched) == ((expected,), ("dpo",))
    assert comparison.measures[0].models[0].verdict == "better than its start; finding"


def test_other_examples_are_refused():
    message = (
        r"'dpo' and its start 'sft' must be measured on the same examples by 'e', got {} and 10, of which {} have the "
        r"same key and prompt\. Give both evaluators the same source, split, count and number of samples\."
    )
    prompts = [f"{number}?" for number in range(10)]
    start = model("sft", evaluation(BEFORE, prompts=prompts))
    other = evaluation(AFTER, prompts=["Another."] * 3 + prompts[3:])
    with pytest.raises(ValueError, match=message.format(10, 7)):
        compare_with_start(start, [model("dpo", other)])
    fewer = evaluation(AFTER[:6], prompts=prompts[:6])
    with pytest.raises(ValueError, match=message.format(6, 6)):
        compare_with_start(start, [model("dpo", fewer)])
    # An evaluator without a measure may show each model something else.
    shown = [model(name, one, evaluators=(Named(),)) for name, one in (("a", evaluation(BEFORE)), ("b", fewer))]
    assert compare_with_start(shown[0], shown[1:]).measures == ()
    corpus = dataclasses.replace(fewer, per_example={})
    with pytest.raises(ValueError, match=message.format(6, 6)):
        compare_with_start(start, [model("dpo", corpus)])
