"""The recipes between two vocabularies where there is nothing to learn from the teacher: counted, and weighed 0."""

import dataclasses

import numpy as np
import pytest

from jaxkd.losses import ReverseKL
from jaxkd.recipes.alm import ALM
from jaxkd.recipes.dskd_cross_attention import DSKDCrossAttention
from jaxkd.recipes.dskdv2_eta import DSKDv2ETA
from jaxkd.recipes.gold import GOLD
from jaxkd.recipes.mined import MinED
from jaxkd.recipes.uld import ULD
from jaxkd.tokenizers import vocabulary
from tests.recipes import numpy_losses as oracle
from tests.recipes import paired_batches
from tests.recipes.paired_batches import all_zero
from tests.tiny_runs import loss_and_gradients

METHODS = pytest.mark.parametrize("method", [DSKDv2ETA, DSKDCrossAttention, ULD, MinED, ALM, GOLD])
NORMALISATIONS = pytest.mark.parametrize("normalisation", ["tokens", "reference"])


@pytest.fixture(scope="module")
def batch(tiny):
    return paired_batches.first(tiny)


def student_logits(recipe, variables, batch):
    return oracle.logits(oracle.hiddens(recipe.student.config(), variables.params["student"], batch.student))


def label_nats(recipe, variables, batch, temperature=1.0):
    nats = oracle.cross_entropy(student_logits(recipe, variables, batch) / temperature, batch.student.labels)
    return nats[np.asarray(batch.student.loss_mask)].mean()


@NORMALISATIONS
def test_answers_without_an_aligned_token_have_their_labels_alone(tiny, batch, normalisation):
    recipe = tiny.cross(DSKDv2ETA, kd_rate=0.3, divergence=ReverseKL(), normalisation=normalisation)
    apart = paired_batches.without_aligned_tokens(paired_batches.with_teacher_hiddens(recipe, batch))
    value, output, (gradient, _), variables = loss_and_gradients(recipe, apart)
    np.testing.assert_allclose(value, 0.7 * label_nats(recipe, variables, batch), rtol=1e-6)
    assert all_zero(gradient["projectors"])
    assert not all_zero(gradient["student"])
    learnt = {"cross_entropy", "accuracy"}
    assert all(mean.value() == 0 for name, mean in output.metrics.items() if name not in learnt)


def test_answers_without_a_matched_target_have_their_labels_at_the_temperature(tiny, batch):
    recipe = tiny.cross(MinED, kd_rate=0.3, temperature=1.5)
    apart = dataclasses.replace(batch, teacher_positions=np.full_like(batch.teacher_positions, -1))
    value, output, _, variables = loss_and_gradients(recipe, apart)
    expected = 0.7 * label_nats(recipe, variables, batch) + 0.3 * label_nats(recipe, variables, batch, 1.5)
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    assert output.metrics["aligned"].value() == output.metrics["divergence"].value() == 0


@NORMALISATIONS
def test_a_teacher_s_token_that_the_student_lacks_is_no_label(tiny, batch, normalisation):
    """The unknown token would be one for the code of the paper; here only the teacher's own space compares."""
    recipe = tiny.cross(DSKDv2ETA, kd_rate=0.3, divergence=ReverseKL(), normalisation=normalisation)
    sure = paired_batches.sure_of_an_unknown_token(recipe, batch)
    value, output, (gradient, _), variables = loss_and_gradients(recipe, sure)
    assert output.metrics["aligned"].value() > 0.3
    assert all(output.metrics[name].value() == 0 for name in ("known", "t2s_cross_entropy", "t2s_divergence"))
    assert all_zero(gradient["projectors"])
    dual = 0.0
    if normalisation == "tokens":
        dual = float(output.metrics["s2t_divergence"].value() * output.metrics["aligned"].value())
        assert dual > 0
    np.testing.assert_allclose(value, 0.7 * label_nats(recipe, variables, batch) + 0.3 * dual, rtol=1e-6)


def test_vocabularies_without_a_common_token_are_refused(tiny, monkeypatch):
    relation = vocabulary.relation(tiny.foreign, tiny.teacher)
    none = np.zeros(0, np.int32)
    disjoint = dataclasses.replace(relation, kind="disjoint", student_ids=none, teacher_ids=none)
    monkeypatch.setattr(vocabulary, "relation", lambda *_: disjoint)
    with pytest.raises(ValueError, match=r"must have tokens in common in DSKDv2ETA, .* none are the same\. DSKDCross"):
        tiny.cross(DSKDv2ETA).validate()


@METHODS
def test_a_checkpoint_without_a_tokenizer_is_refused_before_anything_is_loaded(tiny, tmp_path, method):
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).symlink_to(tiny.folder / name)
    bare = dataclasses.replace(tiny.teacher, path=str(tmp_path))
    for side in ("student", "teacher"):
        with pytest.raises(FileNotFoundError, match=rf"folder must hold a tokenizer .*, got {tmp_path}"):
            tiny.cross(method, **{side: bare}).validate()
