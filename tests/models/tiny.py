"""Tiny decoders for tests: the golden checkpoints as Hugging Face folders, and random parameters without torch."""

import functools
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from safetensors.numpy import save_file

from jaxkd.kernels import head_logits
from jaxkd.models import DecoderConfig
from jaxkd.models.checkpoints.config import from_hugging_face
from jaxkd.models.transformer import decoder
from jaxkd.records import Hiddens
from jaxkd.typing import Params

GOLDEN = Path(__file__).parents[1] / "golden"
NAMES = tuple(sorted(path.stem for path in GOLDEN.glob("*.npz")))

LLAMA = DecoderConfig(
    vocab_size=40, width=16, depth=2, heads=4, kv_heads=2, head_dim=6, mlp_width=24, max_positions=64, tied=True
)
GPT2 = DecoderConfig(
    vocab_size=40,
    width=16,
    depth=2,
    heads=4,
    kv_heads=4,
    head_dim=4,
    mlp_width=24,
    max_positions=64,
    norm="layer",
    activation="gelu_tanh",
    gated=False,
    position="learned",
    query_key_value_bias=True,
    output_bias=True,
    mlp_bias=True,
    tied=True,
)


@functools.cache
def golden(name: str) -> dict[str, np.ndarray]:
    """Contents of tests/golden/NAME.npz."""
    with np.load(GOLDEN / f"{name}.npz") as file:
        return dict(file)


def golden_config(name: str) -> DecoderConfig:
    return from_hugging_face(json.loads(str(golden(name)["config"])))


FAMILIES = (
    "llama",
    "mistral_window",
    "qwen2_window",
    "qwen3",
    "smollm3",
    "gemma",
    "gemma2",
    "gemma3",
    "gpt_neox",
    "gpt2",
)
"""Golden checkpoints that differ in what a block does; the others differ in numbers that the config holds."""


def write_golden(name: str, folder: Path) -> Path:
    """Write a golden checkpoint as the Hugging Face folder that it came from."""
    folder.mkdir(parents=True, exist_ok=True)
    contents = golden(name)
    weights = {key.removeprefix("weights/"): value for key, value in contents.items() if key.startswith("weights/")}
    save_file({key: value.astype(np.float32) for key, value in weights.items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(str(contents["config"]))
    return folder


def random_params(config: DecoderConfig, seed: int = 0) -> Params:
    """Parameters at a scale at which every part of the network matters, drawn by NumPy: no compilation."""
    random = np.random.default_rng(seed)

    def draw(path: tuple, leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        return (random.normal(0.0, 0.3, leaf.shape) + (path[-1].key == "scale")).astype(leaf.dtype)

    return jax.tree.map_with_path(draw, decoder.abstract(config))


def random_tokens(config: DecoderConfig, rows: int, length: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(3, config.vocab_size, (rows, length)).astype(np.int32)


@functools.partial(jax.jit, static_argnames=("config", "remat", "backend"))
def logits(config, params, tokens, positions=None, segment_ids=None, key=None, remat="none", backend="auto"):
    """Logits of every position; by default a row is one segment."""
    rows, length = tokens.shape
    if positions is None:
        positions = jnp.tile(jnp.arange(length), (rows, 1))
        segment_ids = jnp.ones_like(positions)
    values = decoder.hidden_states(
        config,
        params,
        tokens,
        positions=positions,
        segment_ids=segment_ids,
        key=key,
        remat=remat,
        backend=backend,
    )
    return head_logits(Hiddens(values=values, head=decoder.head(config, params)))
