"""Which of two answers a model finds likelier."""

import jax
import numpy as np
import pytest

from jaxkd.evals import PreferenceAccuracy
from jaxkd.models import LanguageModel
from jaxkd.sharding import MeshShape
from jaxkd.sharding import mesh as meshes
from tests.tiny_preferences import log_probs
from tests.tiny_runs import weights_by_numpy


def loaded(checkpoint) -> LanguageModel:
    return LanguageModel(
        config=checkpoint.config(),
        params=checkpoint.load_sharded(),
        tokenizer=checkpoint.tokenizer(),
        source=checkpoint,
    )


def exact(checkpoint, text):
    """Log-probabilities of both answers of each pair, in the order of the pairs, and their lengths."""
    found, lengths = np.zeros((13, 2)), np.ones((13, 2))
    for batch in text.each_once("test", checkpoint.tokenizer()):
        sums, counts = log_probs(checkpoint, batch)
        segments = np.take_along_axis(batch.answers.segment_ids, batch.answers.target_positions, axis=1)
        for row, column in np.argwhere(batch.answers.loss_mask):
            pair, side = divmod(int(batch.answers.example_ids[row, column]), 2)
            place = (int(segments[row, column]) - 1) // 2
            found[pair, side], lengths[pair, side] = sums[row, place, side], counts[row, place, side]
    return found, lengths


@weights_by_numpy()
def test_equals_float64_of_all_logits(tiny, tiny_preferences):
    evaluation = PreferenceAccuracy(data=tiny_preferences, reference=tiny.teacher)(loaded(tiny.narrow))
    found, lengths = exact(tiny.narrow, tiny_preferences)
    ratios = found - exact(tiny.teacher, tiny_preferences)[0]
    margins, rewards, means = (values[:, 0] - values[:, 1] for values in (found, ratios, found / lengths))
    np.testing.assert_allclose(evaluation.per_example["log_prob_margin"], margins, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(evaluation.per_example["reward_margin"], rewards, rtol=1e-4, atol=1e-4)
    expected = {
        "log_prob_accuracy": (margins > 0).mean(),
        "mean_log_prob_accuracy": (means > 0).mean(),
        "reward_accuracy": (rewards > 0).mean(),
        "reward_margin": rewards.mean(),
        "log_ratio_chosen": ratios[:, 0].mean(),
        "log_ratio_rejected": ratios[:, 1].mean(),
        "pairs": 13,
    }
    assert evaluation.metrics == pytest.approx(expected, rel=1e-4, abs=1e-4)
    for name, margin in (("log_prob", margins), ("mean_log_prob", means), ("reward", rewards)):
        np.testing.assert_array_equal(evaluation.per_example[f"{name}_accuracy"], margin > 0)
    assert evaluation.keys == tuple(f"pairs.jsonl:{line}" for line in range(1, 14))
    (measure,) = PreferenceAccuracy(data=tiny_preferences).measures()
    assert (measure.metric, measure.better) == ("log_prob_accuracy", "higher")
    assert np.mean(evaluation.per_example[measure.numerator]) == evaluation.metrics[measure.metric]


@weights_by_numpy()
def test_a_model_that_is_its_own_reference_prefers_nothing(tiny, tiny_preferences):
    evaluation = PreferenceAccuracy(data=tiny_preferences, reference=tiny.teacher)(loaded(tiny.teacher))
    assert evaluation.metrics["reward_accuracy"] == 0.5
    assert evaluation.metrics["reward_margin"] == 0
    assert "reward_accuracy" not in PreferenceAccuracy(data=tiny_preferences)(loaded(tiny.teacher)).metrics


def test_eight_devices_equal_one(tiny, tiny_preferences):
    evaluator = PreferenceAccuracy(data=tiny_preferences, reference=tiny.teacher)
    with weights_by_numpy():
        expected = evaluator(loaded(tiny.narrow))
    with jax.set_mesh(meshes.make(MeshShape(data=2, fsdp=2, tensor=2))):
        found = evaluator(loaded(tiny.narrow))
    assert found.metrics == pytest.approx(expected.metrics, rel=1e-4, abs=1e-4)
