"""How far eight devices are from one, for each family and mesh, as a table in Markdown.

    JAX_PLATFORMS=cpu XLA_FLAGS=--xla_force_host_platform_device_count=8 python -m tests.golden.sharding

The checkpoints are the golden ones; logits of every position, and the gradient of their mean square to every parameter.
"""

import functools
import sys
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from jaxkd import sharding
from jaxkd.models import DecoderConfig
from jaxkd.models.checkpoints import huggingface
from jaxkd.models.transformer import decoder
from jaxkd.sharding import MeshShape
from jaxkd.sharding.mesh import make
from jaxkd.typing import Params
from tests.models import tiny

MESHES = {
    "data 8": MeshShape(data=8),
    "fsdp 8": MeshShape(data=1, fsdp=8),
    "tensor 8": MeshShape(data=1, tensor=8),
    "data 2, fsdp 4": MeshShape(data=2, fsdp=4),
    "fsdp 4, tensor 2": MeshShape(data=1, fsdp=4, tensor=2),
    "2, 2 and 2": MeshShape(data=2, fsdp=2, tensor=2),
}


@functools.partial(jax.jit, static_argnames="config")
def logits_and_gradient(config: DecoderConfig, params: Params, tokens: jax.Array) -> tuple[jax.Array, Params]:
    """Logits, and the gradient of their mean square."""

    def loss(params: Params) -> tuple[jax.Array, jax.Array]:
        logits = tiny.logits(config, params, tokens)
        return jnp.mean(jnp.square(logits)), logits

    (_, logits), gradient = jax.value_and_grad(loss, has_aux=True)(params)
    return logits, gradient


def difference(name: str, shape: MeshShape) -> float:
    """Largest difference over logits and gradients, each as a share of the largest number of its array."""
    config, params, tokens, expected = _on_one_device(name)
    with jax.set_mesh(make(shape)):
        found = logits_and_gradient(config, sharding.shard(params, decoder.logical_axes(config)), tokens)
    errors = jax.tree.map(lambda a, b: np.abs(np.asarray(a) - b).max() / np.abs(b).max(initial=1e-3), found, expected)
    return float(max(jax.tree.leaves(errors)))


@functools.cache
def _on_one_device(name: str) -> tuple[DecoderConfig, Params, np.ndarray, tuple[np.ndarray, Params]]:
    config = tiny.golden_config(name)
    with tempfile.TemporaryDirectory() as folder:
        params = huggingface.load(tiny.write_golden(name, Path(folder)), config)
    tokens = tiny.random_tokens(config, 8, 6)
    return config, params, tokens, jax.device_get(logits_and_gradient(config, params, tokens))


def main() -> None:
    """Print the table."""
    sys.stdout.write(f"| checkpoint | {' | '.join(MESHES)} |\n|---|{'---|' * len(MESHES)}\n")
    for name in tiny.FAMILIES:
        cells = [f"{difference(name, shape):.1e}" for shape in MESHES.values()]
        sys.stdout.write(f"| `{name}` | {' | '.join(cells)} |\n")


if __name__ == "__main__":
    main()
