"""Generations of a model, measured by a teacher."""

import dataclasses

import jax
import numpy as np
import pytest

from jaxkd.distillation import forward
from jaxkd.evals import GenerationMetric, Generations, Health, Refusals
from jaxkd.models.checkpoints.language_model import language_model
from jaxkd.on_policy.rollouts import Rollouts
from jaxkd.runtime import configs
from jaxkd.training import Evaluation
from jaxkd.training.results.evaluation import Sample
from tests.data.given import Given
from tests.recipes import numpy_losses
from tests.tiny_runs import weights_by_numpy

hiddens = jax.jit(forward.hiddens, static_argnums=0)


def evaluator(tiny, **changes):
    fields = {"student": tiny.narrow, "teacher": tiny.teacher, "data": tiny.text, "count": 16, "max_new_tokens": 6}
    return Generations(**fields | changes)


@weights_by_numpy()
def test_equals_float64_numpy_over_the_same_answers(tiny):
    asked = evaluator(tiny)
    assert configs.decode(configs.encode(asked)) == asked
    model, teacher = language_model(tiny.narrow), tiny.teacher.load_sharded()
    found = asked(model).metrics
    rollouts = Rollouts(text=tiny.text, student=tiny.narrow, teacher=tiny.teacher, max_new_tokens=6)
    known = list(tiny.text.by_index("test", tiny.narrow, tiny.teacher).values())
    nats, divergences = [], []
    for start in (0, 8):
        batch = rollouts.rollout(model, known[start : start + 8], jax.random.key(0)).batch.on_policy
        ours = numpy_losses.logits(hiddens(model.config, model.params, batch))
        theirs = numpy_losses.logits(hiddens(tiny.teacher.config(), teacher, batch))
        mask = np.asarray(batch.loss_mask)
        nats.append(numpy_losses.cross_entropy(theirs, batch.labels)[mask])
        divergences.append(numpy_losses.reverse_kl(ours, theirs)[mask])
    np.testing.assert_allclose(found["teacher_nats"], np.concatenate(nats).mean(), rtol=1e-5)
    np.testing.assert_allclose(found["reverse_kl"], np.concatenate(divergences).mean(), rtol=1e-5)
    assert 1 <= found["length"] <= 6
    assert len(np.concatenate(nats)) == pytest.approx(16 * found["length"])
    assert asked(model).metrics == found
    assert found["sequence_kl"] == pytest.approx(found["reverse_kl"] * found["length"], rel=1e-5)


@weights_by_numpy()
def test_what_is_measured_belongs_to_its_answer_however_many_are_read_together(tiny):
    model, examples = language_model(tiny.narrow), tiny.text.source.examples("test")[:8]
    # The longest prompt comes first, and is read last.
    asked = [("user", (7 - place) * "the ") for place in range(8)]
    source = Given(
        found=tuple(dataclasses.replace(one, messages=(ask,)) for one, ask in zip(examples, asked, strict=True))
    )
    together, apart = (
        evaluator(tiny, data=dataclasses.replace(tiny.text, source=source, rows=rows), count=8, rows=8)(model)
        for rows in (4, 1)
    )
    assert together.samples == apart.samples
    np.testing.assert_allclose(
        together.per_example["sequence_kl"], apart.per_example["sequence_kl"], rtol=1e-5, atol=1e-6
    )


@weights_by_numpy()
def test_the_text_is_kept_and_measured(tiny):
    class Letters(GenerationMetric):
        name = "letters"

        def __call__(self, answers):
            counts = tuple(float(len(answer.text)) for answer in answers)
            return Evaluation(
                metrics={"mean": sum(counts) / len(counts)},
                keys=tuple(answer.example.key for answer in answers),
                per_example={"count": counts},
            )

    model = language_model(tiny.narrow)
    found = evaluator(tiny, teacher=None, metrics=(Letters(),))(model)
    assert set(found.metrics) == {"entropy", "length", "ended", "repeated", "letters/mean"}
    assert set(found.per_example) == {"ended", "length", "letters/count"}
    texts = [sample.text for sample in found.samples]
    assert found.per_example["letters/count"] == tuple(map(len, texts))
    assert any(texts)
    by_key = {example.key: example for example in tiny.text.source.examples("test")}
    assert [sample.reference for sample in found.samples] == [by_key[key].response for key in found.keys]
    assert Evaluation.from_json(found.to_json()) == found
    more = evaluator(tiny, teacher=None, count=8, samples_per_prompt=2)(model)
    assert more.keys == 2 * found.keys[:8]
    assert [sample.text for sample in more.samples[:8]] == texts[:8]
    assert [sample.text for sample in more.samples[8:]] != texts[:8]
    in_batches = evaluator(tiny, rows=6, metrics=(Letters(),))(model)
    assert in_batches.samples == found.samples
    assert in_batches.per_example["letters/count"] == found.per_example["letters/count"]
    with pytest.raises(ValueError, match="rows must be at least 1, or None for those of data, got 0"):
        evaluator(tiny, rows=0)
    with pytest.raises(ValueError, match="samples_per_prompt must be at least 1, got 0"):
        evaluator(tiny, samples_per_prompt=0)
    beside = evaluator(tiny)(model)
    assert [sample.text for sample in beside.samples] == texts
    assert beside.metrics["entropy"] == found.metrics["entropy"]
    with pytest.raises(ValueError, match="metrics must have different names, got letters, letters"):
        evaluator(tiny, metrics=(Letters(), Letters()))


def test_sets_of_prompts_have_labels_and_columns(tiny):
    harmful = evaluator(tiny, label="harmful", metrics=(Health(), Refusals(prompts="harmful")))
    benign = evaluator(
        tiny, label="benign", metrics=(Refusals(prompts="benign"), Refusals(prompts="benign", by="phrases"))
    )
    assert (evaluator(tiny).name, harmful.name, benign.name) == ("generations", "harmful", "benign")
    assert evaluator(tiny).columns() == ()
    assert [one.metric for one in harmful.columns()] == ["refusals_by_pattern/attack_success"]
    assert [(one.metric, one.name) for one in benign.columns()] == [
        ("refusals_by_pattern/over_refusal", "over-refusal,\nby pattern"),
        ("refusals_by_phrases/over_refusal", "over-refusal,\nby phrases"),
    ]
    older = configs.encode(benign)
    assert configs.decode({name: value for name, value in older.items() if name != "label"}).name == "generations"


def test_measures_have_the_names_of_the_evaluation(tiny):
    asked = evaluator(tiny, label="harmful", metrics=(Health(), Refusals(prompts="harmful")))
    by_metric = {one.metric: one for one in asked.measures()}
    attack = by_metric["refusals_by_pattern/attack_success"]
    assert (attack.numerator, attack.name) == ("refusals_by_pattern/attack_success", "attack success, by pattern")
    assert by_metric["health/shared_end"].numerator is None
    distance = by_metric["sequence_kl"]
    assert (distance.reference, distance.at_reference, distance.name) == (tiny.teacher, 0.0, "KL to")
    assert list(by_metric)[-2:] == ["sequence_kl", "length"]
    alone = evaluator(tiny, teacher=None)
    assert [one.metric for one in alone.measures()] == ["length"]
    assert alone.findings(None, None) is None


def test_findings_are_those_of_the_metrics(tiny):
    texts = ["one yes yes yes yes", "two"]
    ours, theirs = (
        Evaluation(
            metrics={},
            keys=("a", "b"),
            per_example={"ended": (1.0, 1.0)},
            samples=tuple(Sample(prompt="", reference="", text=text) for text in side),
        )
        for side in (texts, ["one", "two"])
    )
    asked = evaluator(tiny, metrics=(Refusals(prompts="harmful"), Health()))
    assert asked.findings(ours, theirs).keys() == {"health/loops"}
    assert asked.findings(ours, ours) == {}


@weights_by_numpy()
def test_prompts_alone_are_answered_as_those_with_a_response(tiny):
    model, examples = language_model(tiny.narrow), tiny.text.source.examples("test")
    alone = Given(found=tuple(dataclasses.replace(one, response="") for one in examples))
    metrics = (Refusals(prompts="harmful"),)
    whole = evaluator(tiny, metrics=metrics)(model)
    found = evaluator(tiny, data=dataclasses.replace(tiny.text, source=alone), metrics=metrics)(model)
    asked = dict(zip(whole.keys, whole.samples, strict=True))
    assert [one.text for one in found.samples] == [asked[key].text for key in found.keys]
    assert {one.reference for one in found.samples} == {""}
    assert found.metrics["sequence_kl"] == pytest.approx(whole.metrics["sequence_kl"], rel=1e-5)


@weights_by_numpy()
def test_a_teacher_of_another_vocabulary_reads_what_is_written(tiny):
    found = evaluator(tiny, student=tiny.foreign, data=tiny.paired, count=8)(language_model(tiny.foreign))
    assert set(found.metrics) == {"teacher_nats", "entropy", "length", "ended", "repeated"}
    assert np.isfinite(found.metrics["teacher_nats"])


@weights_by_numpy()
def test_a_model_is_no_distance_from_itself(tiny):
    found = evaluator(tiny, student=tiny.teacher, count=8)(language_model(tiny.teacher))
    np.testing.assert_allclose(found.metrics["reverse_kl"], 0, atol=1e-6)
    # Its cross entropy of what it draws is its own nats.
    assert found.metrics["entropy"] == pytest.approx(found.metrics["teacher_nats"], rel=1e-5)


@weights_by_numpy()
def test_a_count_that_is_not_there_is_refused(tiny):
    with pytest.raises(ValueError, match="count must be a multiple of the 8 rows of a batch, got 12"):
        evaluator(tiny, count=12)
    asked = dataclasses.replace(evaluator(tiny), count=24)
    with pytest.raises(ValueError, match="count must be at most the 20 prompts of the test split, got 24"):
        asked(language_model(tiny.narrow))
