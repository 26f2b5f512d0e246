"""A model against a teacher of another vocabulary, at the tokens that both cut alike."""

import dataclasses

import jax
import numpy as np
import pytest

from jaxkd.data import PairedText
from jaxkd.evals import AlignedTeacher
from jaxkd.models.checkpoints.language_model import language_model
from jaxkd.runtime import configs
from jaxkd.sharding import MeshShape
from jaxkd.sharding.mesh import make
from jaxkd.tokenizers import vocabulary
from tests.evals.language.structures import STRUCTURES
from tests.recipes.numpy_losses import hiddens
from tests.tiny_runs import weights_by_numpy


def evaluator(tiny, **changes):
    return dataclasses.replace(
        AlignedTeacher(teacher=tiny.teacher, student=tiny.foreign, data=tiny.paired, split="test"), **changes
    )


@weights_by_numpy()
def test_equals_float64_numpy_answer_by_answer(tiny):
    model = language_model(tiny.foreign)
    found = evaluator(tiny)(model).metrics
    teacher = tiny.teacher.load_sharded()
    shared = vocabulary.relation(tiny.foreign, tiny.teacher)
    known = dict(zip(shared.teacher_ids.tolist(), shared.student_ids.tolist(), strict=True))
    targets, same, distances = 0, [], []
    for batch in tiny.paired.each_once("test", tiny.foreign, tiny.teacher):
        sides = (
            (hiddens(model.config, model.params, batch.student), batch.student_spans),
            (hiddens(tiny.teacher.config(), teacher, batch.teacher), batch.teacher_spans),
        )
        targets += batch.student.loss_mask.sum()
        for row in range(len(batch.student.tokens)):
            for segment in np.unique(batch.student_spans.segment_ids[row][batch.student.loss_mask[row]]):
                places = []
                for _, spans in sides:
                    mine = np.flatnonzero(spans.segment_ids[row] == segment)
                    places.append({(int(spans.starts[row, i]), int(spans.ends[row, i])): i for i in mine})
                both = sorted(span for span in places[0].keys() & places[1].keys() if span[0] < span[1])
                states = [
                    np.asarray(side.values, np.float64)[row, [where[span] for span in both]]
                    for (side, _), where in zip(sides, places, strict=True)
                ]
                likeliest = [
                    (one @ np.asarray(side.head.weight, np.float64).T).argmax(-1)
                    for one, (side, _) in zip(states, sides, strict=True)
                ]
                same += [known.get(int(b), -1) == a for a, b in zip(*likeliest, strict=True)]
                distances.append([np.abs(of(states[0]) - of(states[1])).mean() for of in STRUCTURES])
    assert found["tokens"] == len(same)
    np.testing.assert_allclose(found["coverage"], len(same) / targets, rtol=1e-6)
    np.testing.assert_allclose(found["agreement"], np.mean(same), rtol=1e-6)
    expected = np.mean(distances, axis=0)
    np.testing.assert_allclose([found["cosine_distance"], found["inner_product_distance"]], expected, rtol=1e-4)


@weights_by_numpy()
def test_a_teacher_agrees_with_itself(tiny):
    same = PairedText(student=tiny.text, teacher=tiny.text)
    found = evaluator(tiny, student=tiny.teacher, data=same)(language_model(tiny.teacher)).metrics
    assert (found["coverage"], found["agreement"]) == (1, 1)
    assert found["cosine_distance"] == found["inner_product_distance"] == pytest.approx(0, abs=1e-6)


def test_eight_devices_equal_one_and_its_config_is_json(tiny):
    one = evaluator(tiny)
    assert configs.decode(configs.encode(one)) == one
    with weights_by_numpy():
        expected = one(language_model(tiny.foreign)).metrics
    with jax.set_mesh(make(MeshShape(data=2, fsdp=2, tensor=2))):
        found = one(language_model(tiny.foreign)).metrics
    assert found == pytest.approx(expected, rel=1e-4)


def test_a_cache_of_the_teacher_stands_in_for_it(tiny, tmp_path):
    with weights_by_numpy():
        model = language_model(tiny.foreign)
    with jax.set_mesh(make(MeshShape(data=1), jax.devices()[:1])):
        live = evaluator(tiny)(model).metrics
        tiny.cache(data=tiny.paired.teacher, split="test", mesh=MeshShape(data=1)).run(tmp_path, seed=0, stages={})
        assert evaluator(tiny, teacher_cache=str(tmp_path))(model).metrics == pytest.approx(live, rel=1e-5)
