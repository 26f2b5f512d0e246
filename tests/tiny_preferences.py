"""Pairs of answers for the tiny model, and their log-probabilities by definition."""

import json

import numpy as np
import pytest

from jaxkd.data import PreferenceJsonl, PreferenceText
from tests.recipes import numpy_losses as oracle


@pytest.fixture(scope="session")
def tiny_preferences(tmp_path_factory) -> PreferenceText:
    """Thirteen questions with two answers each, some labels soft, some pairs heavy."""
    path = tmp_path_factory.mktemp("pairs") / "pairs.jsonl"
    rows = [
        {
            "prompt": f"the {n}",
            "chosen": f"the he {n * 7}",
            "rejected": "he" * (1 + n % 5),
            "weight": 1 + n % 3,
            "pref_prob": 1 - 0.1 * (n % 2),
        }
        for n in range(13)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = PreferenceJsonl(train=str(path), validation=str(path), test=str(path))
    return PreferenceText(source=source, rows=8, length=96, targets=36, pairs=2)


def log_probs(model, batch):
    """Sum of the log-probabilities of each answer, pair by pair, from all logits in float64; and their lengths."""
    answers = batch.answers
    nats = oracle.cross_entropy(oracle.logits(oracle.hiddens(model.config(), model.load(), answers)), answers.labels)
    found, lengths = (np.zeros((*batch.weights.shape, 2)) for _ in range(2))
    for row, column in np.argwhere(answers.loss_mask):
        pair, side = divmod(int(answers.segment_ids[row, answers.target_positions[row, column]]) - 1, 2)
        found[row, pair, side] -= nats[row, column]
        lengths[row, pair, side] += 1
    return found, lengths
