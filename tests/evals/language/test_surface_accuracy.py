"""Classifiers that see lengths and counts of tokens alone."""

import json

import numpy as np
import pytest
from scipy import optimize, sparse

from jaxkd.data import PreferenceJsonl, PreferenceText
from jaxkd.evals import SurfaceAccuracy
from jaxkd.evals.language.surface_accuracy import fitted
from jaxkd.models import LanguageModel


def measured(tiny, path, pairs):
    path.write_text(
        "".join(json.dumps({"prompt": f"the {n}", "chosen": c, "rejected": r}) + "\n" for n, (c, r) in enumerate(pairs))
    )
    source = PreferenceJsonl(train=str(path), validation=str(path), test=str(path))
    text = PreferenceText(source=source, rows=4, length=160, targets=48)
    model = LanguageModel(config=tiny.teacher.config(), params={}, tokenizer=tiny.teacher.tokenizer())
    return SurfaceAccuracy(data=text)(model)


def test_weights_are_the_minimum_of_the_penalised_likelihood():
    features = np.random.default_rng(0).normal(size=(40, 5)) + 0.3
    found = fitted(sparse.csr_array(features), 0.7)
    gradient = 0.7 * found - (features / (1 + np.exp(features @ found))[:, None]).sum(0)
    np.testing.assert_allclose(gradient, 0, atol=1e-3)

    def objective(weights):
        return np.log1p(np.exp(-features @ weights)).sum() + 0.35 * weights @ weights

    assert objective(found) <= optimize.minimize(objective, found).fun + 1e-8


def test_a_word_gives_pairs_away_that_have_one_length(tiny, tmp_path):
    pairs = [
        (f"he {'the he' if n % 2 else 'he he'} {n}", f"to {'the he' if n % 2 else 'he he'} {n}") for n in range(12)
    ]
    found = measured(tiny, tmp_path / "pairs.jsonl", pairs)
    assert found.metrics["bag_of_tokens_accuracy"] == 1
    assert set(found.per_example["bag_of_tokens"]) == {1.0}
    assert found.metrics["pairs"] == 12


def test_a_length_gives_pairs_away_and_the_same_words_in_another_order_do_not(tiny, tmp_path):
    longer = measured(tiny, tmp_path / "a.jsonl", [(f"he he he {n}", f"he he {n}") for n in range(9)])
    assert longer.metrics["length_accuracy"] == 1
    order = measured(tiny, tmp_path / "b.jsonl", [(f"he the {n}", f"the he {n}") for n in range(9)])
    assert order.metrics["length_accuracy"] == 0.5
    assert order.metrics["bag_of_tokens_accuracy"] == pytest.approx(0.5)
