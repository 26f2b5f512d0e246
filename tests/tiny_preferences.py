"""Pairs of answers for the tiny model, and their log-probabilities by definition."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.data.preference_jsonl import PreferenceJsonl
from jaxkd.data.preference_text import PreferenceText
from jaxkd.models import decoder


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
    architecture, params = model.config(), jax.tree.map(jnp.asarray, model.load())
    answers = jax.tree.map(jnp.asarray, batch.answers)
    hiddens = decoder.hidden_states(
        architecture, params, answers.tokens, positions=answers.positions, segment_ids=answers.segment_ids
    )
    head = decoder.head(architecture, params)
    logits = head.scale * np.asarray(hiddens, np.float64) @ np.asarray(head.weight, np.float64).T
    logits -= np.log(np.exp(logits - logits.max(-1, keepdims=True)).sum(-1, keepdims=True)) + logits.max(
        -1, keepdims=True
    )
    found, lengths = (np.zeros((*batch.weights.shape, 2)) for _ in range(2))
    for row, column in np.argwhere(answers.loss_mask):
        place = answers.target_positions[row, column]
        pair, side = divmod(int(answers.segment_ids[row, place]) - 1, 2)
        found[row, pair, side] += logits[row, place, answers.labels[row, column]]
        lengths[row, pair, side] += 1
    return found, lengths
