import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.evals import ReferenceKL
from jaxkd.evals.language.reference_kl import reference_kl
from jaxkd.models import LanguageModel
from jaxkd.models.checkpoints.language_model import language_model
from jaxkd.runtime import configs
from jaxkd.sharding import MeshShape
from jaxkd.sharding.mesh import make
from tests.evals.language.structures import STRUCTURES
from tests.models import tiny as decoders
from tests.recipes.numpy_losses import hiddens


@pytest.fixture(scope="module")
def models(tiny_folder):
    from jaxkd.models import Pretrained

    whole = Pretrained(path=str(tiny_folder))
    return tuple(
        LanguageModel(config=one.config(), params=one.load(), tokenizer=one.tokenizer())
        for one in (whole, dataclasses.replace(whole, quantization="int8"), dataclasses.replace(whole, layers=(1,)))
    )


@pytest.fixture(scope="module")
def batches(tiny_text, models):
    return dataclasses.replace(tiny_text, rows=2).each_once("test", models[0].tokenizer)


def test_it_is_the_mean_over_the_response_tokens(models, batches):
    reference, _, other = models
    found = reference_kl(reference, other, batches)
    kl = reverse_kl = cross_entropy = agreement = tokens = 0.0
    for batch in batches:
        p, q = (
            np.asarray(
                jax.nn.log_softmax(
                    decoders.logits(
                        one.config, one.params, batch.tokens, positions=batch.positions, segment_ids=batch.segment_ids
                    )
                ),
                np.float64,
            )
            for one in (reference, other)
        )
        for row, column, label in zip(*_targets(batch), strict=True):
            kl += (np.exp(p[row, column]) * (p[row, column] - q[row, column])).sum()
            reverse_kl += (np.exp(q[row, column]) * (q[row, column] - p[row, column])).sum()
            cross_entropy -= q[row, column, label]
            agreement += p[row, column].argmax() == q[row, column].argmax()
            tokens += 1
    assert len(batches) > 1
    assert float(found["kl"].count) == tokens
    np.testing.assert_allclose(found["kl"].value(), kl / tokens, rtol=1e-4)
    np.testing.assert_allclose(found["reverse_kl"].value(), reverse_kl / tokens, rtol=1e-4)
    np.testing.assert_allclose(found["agreement"].value(), agreement / tokens, rtol=1e-6)
    np.testing.assert_allclose(found["cross_entropy"].value(), cross_entropy / tokens, rtol=1e-5)


def test_structures_are_compared_answer_by_answer(models, batches):
    reference, _, other = models
    found = reference_kl(reference, other, batches)
    distances = []
    for batch in batches:
        states = [
            np.asarray(hiddens(one.config, jax.tree.map(jnp.asarray, one.params), batch).values, np.float64)
            for one in (reference, other)
        ]
        for answer in np.unique(batch.example_ids[batch.loss_mask]):
            places = np.nonzero((batch.example_ids == answer) & batch.loss_mask)
            distances.append([np.abs(of(states[0][places]) - of(states[1][places])).mean() for of in STRUCTURES])
    assert len(distances) == pytest.approx(float(found["cosine_distance"].count))
    values = [found[name].value() for name in ("cosine_distance", "inner_product_distance")]
    np.testing.assert_allclose(values, np.mean(distances, axis=0), rtol=1e-4)


def _targets(batch):
    rows, places = np.nonzero(batch.loss_mask)
    return rows, batch.target_positions[rows, places], batch.labels[rows, places]


def test_a_model_is_at_no_distance_from_itself(models, batches):
    found = reference_kl(models[0], models[0], batches)
    assert abs(float(found["kl"].value())) < 1e-8 and abs(float(found["reverse_kl"].value())) < 1e-8
    assert float(found["cosine_distance"].value()) == float(found["inner_product_distance"].value()) == 0
    assert 0 < float(reference_kl(models[0], models[1], batches)["kl"].value()) < 0.01


def test_eight_devices_equal_one(models, tiny_text, tiny):
    batches = tiny_text.each_once("test", models[0].tokenizer)
    expected = reference_kl(models[0], models[2], batches)
    with jax.set_mesh(make(MeshShape(data=2, fsdp=2, tensor=2))):
        placed = [language_model(one) for one in (tiny.teacher, dataclasses.replace(tiny.teacher, layers=(1,)))]
        found = reference_kl(*placed, batches)
    np.testing.assert_allclose(found["kl"].value(), expected["kl"].value(), rtol=1e-5)
    assert float(found["kl"].count) == float(expected["kl"].count)


def test_no_batch_is_refused(models):
    with pytest.raises(ValueError, match="batches must hold at least one batch, got none"):
        reference_kl(models[0], models[0], [])


def test_the_evaluator_reports_it_beside_the_provenance(tiny, models, batches, caplog):
    evaluator = ReferenceKL(reference=tiny.teacher, data=dataclasses.replace(tiny.text, rows=2), split="test")
    assert configs.decode(configs.encode(evaluator)) == evaluator
    with jax.set_mesh(make(MeshShape(data=1), jax.devices()[:1])), caplog.at_level("INFO", logger="jaxkd"):
        metrics = evaluator(models[1]).metrics
    expected = float(reference_kl(models[0], models[1], batches)["kl"].value())
    assert metrics["kl"] == pytest.approx(expected, rel=1e-5)
    assert f"KL({tiny.teacher.provenance()} || model) = {metrics['kl']:.3g} nats per token" in caplog.text


def test_a_cache_of_the_reference_stands_in_for_it(tiny, models, tmp_path):
    text = dataclasses.replace(tiny.text, rows=2)
    with jax.set_mesh(make(MeshShape(data=1), jax.devices()[:1])):
        live = ReferenceKL(reference=tiny.teacher, data=text, split="test")(models[2]).metrics
        tiny.cache(data=text, split="test", mesh=MeshShape(data=1)).run(tmp_path, seed=0, stages={})
        cached = ReferenceKL(reference=tiny.teacher, data=text, split="test", reference_cache=str(tmp_path))
        assert cached(models[2]).metrics == pytest.approx(live, rel=1e-5)
        other = dataclasses.replace(cached, split="train", data=dataclasses.replace(text, limit=3))
        with pytest.raises(ValueError, match="data"):
            other(models[2])
