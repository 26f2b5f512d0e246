"""Our logits against those of transformers and torch, family by family."""

import dataclasses
import functools
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.models import LinearScaling
from jaxkd.models.checkpoints import huggingface
from jaxkd.models.checkpoints.config import from_hugging_face
from jaxkd.models.transformer import decoder
from jaxkd.models.transformer.layer_outputs import layer_outputs
from tests.golden import parity, regenerate
from tests.models import tiny

TOLERANCE = 5e-5
"""For logits of size 5; the nearest wrong network below is off by 5 times as much and more."""


@pytest.mark.parametrize("name", tiny.NAMES)
def test_logits_equal_those_of_torch(name):
    for positions, difference in parity.differences(name).items():
        assert difference < TOLERANCE, positions


def test_the_table_has_a_row_for_each_checkpoint_here_and_in_the_docs(capsys, monkeypatch):
    page = (Path(__file__).parents[2] / "docs/models.md").read_text()
    for name in tiny.NAMES:
        assert f"| `{name}` | `{regenerate.CASES[name]['model_type']}` |" in page
    monkeypatch.setattr(tiny, "NAMES", ("gpt2", "llama"))
    parity.main()
    header, _, *rows = capsys.readouterr().out.splitlines()
    assert header in page
    assert [row.split(" | ")[0] for row in rows] == ["| `gpt2`", "| `llama`"]
    assert rows[0].endswith("|  |"), "learned positions end before the second column's"


WRONG = [
    ("llama", {"norm_eps": 1.1e-3}),
    ("llama", {"rope_theta": 101.0}),
    ("llama_linear", {"rope_scaling": LinearScaling(factor=2.51)}),
    ("mistral_window", {"windows": (3, 3)}),
    ("qwen2_window", {"windows": (0, 5)}),
    ("qwen3", {"head_dim": 6, "score_dim": 4}),
    ("smollm3", {"rotated": (False, True)}),
    ("gemma", {"activation": "gelu"}),
    ("gemma", {"norm": "rms"}),
    ("gemma", {"scaled_embedding": False}),
    ("gemma2", {"attention_softcap": 2.02}),
    ("gemma2", {"logit_softcap": None}),
    ("gemma2", {"score_dim": None}),
    ("gemma3", {"local_rope_theta": 10.1}),
    ("gpt_neox", {"parallel_branches": False}),
    ("gpt_neox", {"rotary_fraction": 1.0}),
]
"""Each field of the architecture once."""

ALSO_WRONG = [
    ("llama", {"activation": "gelu"}),
    ("llama_linear", {"rope_scaling": None}),
    ("mistral_window", {"windows": (5, 5)}),
    ("mistral_window", {"windows": None}),
    ("qwen2_window", {"windows": (4, 4)}),
    ("qwen3", {"norm_eps": 1.1e-3}),
    ("smollm3", {"rotated": None}),
    ("gemma2", {"attention_softcap": None}),
    ("gemma2", {"windows": (5, 0)}),
    ("gemma2", {"windows": (0, 4)}),
    ("gemma3", {"local_rope_theta": None}),
    ("gemma3", {"rope_scaling": None}),
    ("gemma3", {"windows": (4, 0, 3)}),
    ("gemma3", {"norm": "rms"}),
    ("gpt_neox", {"activation": "gelu_tanh"}),
    ("gpt_neox_sequential", {"parallel_branches": True}),
    ("gpt2", {"activation": "gelu"}),
    ("gpt2", {"norm_eps": 1.1e-3}),
]


@pytest.mark.parametrize(
    ("name", "changes"),
    [*WRONG, *(pytest.param(*case, marks=pytest.mark.slow) for case in ALSO_WRONG)],
    ids=str,
)
def test_a_slightly_wrong_network_is_told_apart(name, changes):
    wrong = dataclasses.replace(tiny.golden_config(name), **changes)
    assert max(parity.differences(name, wrong).values()) > 5 * TOLERANCE


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("llama3", "low_frequency_factor"),
        ("llama_yarn", "slow_turns"),
        *(
            pytest.param(name, field, marks=pytest.mark.slow)
            for name, fields in (
                ("llama3", ("factor", "high_frequency_factor", "original_positions")),
                ("llama_yarn", ("factor", "original_positions", "amplitude", "fast_turns")),
            )
            for field in fields
        ),
    ],
)
def test_each_constant_of_a_scaling_matters(name, field):
    config = tiny.golden_config(name)
    scaling = dataclasses.replace(config.rope_scaling, **{field: 2 * getattr(config.rope_scaling, field)})
    wrong = dataclasses.replace(config, rope_scaling=scaling)
    assert max(parity.differences(name, wrong).values()) > 5 * TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("name", tiny.NAMES)
def test_golden_files_are_what_transformers_computes(name):
    pytest.importorskip("torch")
    fresh, stored = regenerate.golden(name), tiny.golden(name)
    assert fresh.keys() == stored.keys()
    for key, value in fresh.items():
        if key.endswith("logits"):
            np.testing.assert_allclose(value, stored[key], atol=1e-5)
        elif key == "config":  # its text names the version of transformers
            assert from_hugging_face(json.loads(str(value))) == tiny.golden_config(name)
        else:
            np.testing.assert_array_equal(value, stored[key])


@pytest.mark.slow
@pytest.mark.parametrize("name", tiny.NAMES)
def test_padding_on_either_side_equals_that_of_transformers(name, tmp_path):
    torch = pytest.importorskip("torch")
    model = regenerate.build(name)
    config = tiny.golden_config(name)
    params = huggingface.load(tiny.write_golden(name, tmp_path), config)
    tokens = tiny.random_tokens(config, 2, 9)
    for mask in (np.arange(9) >= np.array([[3], [1]]), np.arange(9) < np.array([[5], [8]])):
        positions = np.maximum(np.cumsum(mask, axis=1) - 1, 0)
        with torch.no_grad():
            expected = model(
                torch.from_numpy(tokens).long(),
                attention_mask=torch.from_numpy(mask).long(),
                position_ids=torch.from_numpy(positions),
            ).logits.numpy()
        ours = tiny.logits(config, params, tokens, positions.astype(np.int32), mask.astype(np.int32))
        np.testing.assert_allclose(ours[mask], expected[mask], atol=TOLERANCE)


@pytest.mark.slow
@pytest.mark.parametrize("name", tiny.FAMILIES)
def test_hidden_states_and_attention_equal_those_of_transformers(name, tmp_path):
    torch = pytest.importorskip("torch")
    config = tiny.golden_config(name)
    params = huggingface.load(tiny.write_golden(name, tmp_path), config)
    tokens = tiny.random_tokens(config, 2, 9)
    positions = jnp.tile(jnp.arange(9), (2, 1))
    ours = layer_outputs(
        config,
        jax.tree.map(jnp.asarray, params),
        jnp.asarray(tokens),
        positions=positions,
        segment_ids=jnp.ones_like(positions),
        tap="probs",
    )
    with torch.no_grad():
        theirs = regenerate.build(name)(
            torch.from_numpy(tokens).long(), output_hidden_states=True, output_attentions=True
        )
    hiddens = np.stack([state.numpy() for state in theirs.hidden_states])
    np.testing.assert_allclose(ours.hiddens, hiddens, atol=1e-5 * np.abs(hiddens).max())
    np.testing.assert_allclose(ours.attention, np.stack([probs.numpy() for probs in theirs.attentions]), atol=1e-5)


def test_scaled_embeddings_are_rounded_to_their_dtype():
    # The square root of 3072 is 55.43; the nearest bfloat16 is 55.5, which is what transformers multiplies by.
    config = dataclasses.replace(tiny.golden_config("gemma2").with_layers((0,)), width=3072, mlp_width=8)
    params = jax.tree.map(lambda leaf: np.ones(leaf.shape, leaf.dtype), decoder.abstract(config, jnp.bfloat16))
    tokens = np.zeros((1, 2), np.int32)
    outputs = jax.jit(functools.partial(layer_outputs, config))(params, tokens, positions=tokens, segment_ids=tokens)
    assert np.asarray(outputs.hiddens[0], np.float32).max() == 55.5
