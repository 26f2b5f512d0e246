"""Exported networks: a folder with the description, the weights, and a serialised function for inference."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from jaxkd.runtime import configs
from jaxkd.runtime.storage.files import read_json, write_json
from jaxkd.typing import Params
from jaxkd.vision.network import ImageNetwork, NetworkModel

CONFIG, WEIGHTS, FUNCTION = "network.json", "model.safetensors", "logits.stablehlo"
PLATFORMS = ("cpu", "cuda", "tpu")
"""Platforms that the serialised function runs on."""

_SEPARATOR = "."


def save(folder: Path, model: NetworkModel, *, size: tuple[int, int]) -> None:
    """Write a network: `network.json`, `model.safetensors`, and `logits.stablehlo`.

    The last is the whole computation from uint8 images [b, height, width, 3] to logits, for any number b of images,
    with the weights in it: `jax.export.deserialize(bytes).call(images)` runs it without this library.

    Args:
        folder: folder; created if missing.
        model: network to write.
        size: height and width of the images that the serialised function takes.
    """
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    arrays = {
        f"{kind}{_SEPARATOR}{name}": np.ascontiguousarray(value)
        for kind, tree in (("params", model.params), ("state", model.state))
        for name, value in _flat(tree).items()
    }
    save_file(arrays, folder / WEIGHTS)
    (folder / FUNCTION).write_bytes(serialised(model, size=size))
    # Last: its presence marks the folder as whole.
    write_json(folder / CONFIG, {"network": configs.encode(model.network), "size": list(size)})


def serialised(model: NetworkModel, *, size: tuple[int, int]) -> bytes:
    """Return the function from images to logits as StableHLO, the weights as constants; arguments as in `save`."""
    (rows,) = jax.export.symbolic_shape("b")
    images = jax.ShapeDtypeStruct((rows, *size, 3), jnp.uint8)
    whole = jax.tree.map(np.asarray, model)  # from every device

    def function(images: UInt8[Array, "b h w 3"]) -> Float[Array, "b h w k"]:
        return jax.tree.map(jnp.asarray, whole)(images).logits

    return bytes(jax.export.export(jax.jit(function), platforms=PLATFORMS)(images).serialize())


def is_exported(folder: Path) -> bool:
    """Whether a folder holds an exported network."""
    return (folder / CONFIG).is_file()


def load_network(folder: Path) -> ImageNetwork:
    """Return the description of an exported network.

    Raises:
        ValueError: a file that describes none.
    """
    network = configs.decode(read_json(folder / CONFIG).get("network"))
    if not isinstance(network, ImageNetwork):
        raise ValueError(f"{folder / CONFIG} must describe a network on images, got {network!r}. Export it again.")
    return network


def load(folder: Path) -> NetworkModel:
    """Return an exported network with its weights.

    Raises:
        ValueError: weights that are not the described network's.
    """
    from safetensors.numpy import load_file

    network = load_network(folder)
    arrays = load_file(folder / WEIGHTS)
    params, state = (
        _filled(tree, {name: arrays.get(f"{kind}{_SEPARATOR}{name}") for name in _flat(tree)}, folder)
        for kind, tree in zip(("params", "state"), network.abstract(), strict=True)
    )
    return NetworkModel(network=network, params=params, state=state)


def _flat(tree: Params) -> dict[str, jax.Array]:
    return {
        jax.tree_util.keystr(path, simple=True, separator=_SEPARATOR): leaf
        for path, leaf in jax.tree.leaves_with_path(tree)
    }


def _filled(tree: Params, arrays: dict[str, np.ndarray | None], folder: Path) -> Params:
    """Return the tree with these arrays for its leaves."""
    for name, leaf in _flat(tree).items():
        array = arrays[name]
        if array is None or array.shape != leaf.shape:
            got = "nothing" if array is None else f"shape {array.shape}"
            raise ValueError(
                f"{folder / WEIGHTS} must hold {name} of shape {leaf.shape}, got {got}. It belongs to another network: "
                "export it again."
            )
    return jax.tree.map(
        jnp.asarray,
        jax.tree.unflatten(jax.tree.structure(tree), [arrays[name] for name in _flat(tree)]),
    )
