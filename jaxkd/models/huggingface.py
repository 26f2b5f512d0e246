"""Hugging Face checkpoints: read into our parameters, and written so that transformers loads them."""

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from numpy.typing import DTypeLike

from jaxkd.models import decoder, surgery
from jaxkd.models.checkpoint_names import IGNORED, NAMINGS, Naming
from jaxkd.models.config import DecoderConfig, family, to_hugging_face
from jaxkd.models.weights import Weights
from jaxkd.typing import Params

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def load(
    folder: Path, config: DecoderConfig, *, layers: Sequence[int] | None = None, dtype: DTypeLike = np.float32
) -> Params:
    """The parameters of a checkpoint as host arrays, read one tensor at a time.

    Args:
        folder: a Hugging Face folder with safetensors weights.
        config: architecture of the whole checkpoint, as `config.read(folder)` gives it.
        layers: which layers to read, in this order; None reads all.
        dtype: what the arrays are cast to.

    Raises:
        ValueError: weights that are missing, cut off, of another shape, or of no use to this
            architecture: a model with tensors that we do not apply would compute something else.
    """
    layers = range(config.depth) if layers is None else layers
    surgery.check_layers(config, layers)
    naming = NAMINGS[family(config)]
    paths, treedef = jax.tree.flatten_with_path(decoder.abstract(config))
    with Weights(folder) as weights:
        files = {naming.canonical(name): name for name in weights.names() if not IGNORED.search(name)}
        _check_names(Path(folder), config, naming, files)

        def read(path: str, shape: tuple[int, ...], layer: int | None) -> np.ndarray:
            stored = naming.table[path]
            tensor = weights.read(files[stored.name.format(layer)])
            if tensor.shape != stored.shape(shape):
                raise ValueError(
                    f"{stored.name.format(layer)} must have the shape {stored.shape(shape)} by config.json, "
                    f"got {tensor.shape} in {folder}. Weights and config.json belong to different models."
                )
            return stored.read(tensor, shape)

        leaves = []
        for path, leaf in ((_dotted(path), leaf) for path, leaf in paths):
            if not path.startswith("blocks."):
                leaves.append(read(path, leaf.shape, None).astype(dtype))
                continue
            stack = np.empty((len(layers), *leaf.shape[1:]), dtype)
            for row, layer in enumerate(layers):
                stack[row] = read(path, leaf.shape[1:], layer)
            leaves.append(stack)
    return jax.tree.unflatten(treedef, leaves)


def _dotted(path: tuple[Any, ...]) -> str:
    return ".".join(str(entry.key) for entry in path)


def _expected_names(config: DecoderConfig, naming: Naming) -> set[str]:
    """Tensors that a checkpoint of this architecture has."""
    paths = jax.tree.leaves_with_path(decoder.abstract(config))
    stored = {naming.table[_dotted(path)].name for path, _ in paths}
    return {name.format(layer) for name in stored for layer in range(config.depth)}


def _check_names(folder: Path, config: DecoderConfig, naming: Naming, files: dict[str, str]) -> None:
    expected = _expected_names(config, naming)
    missing = sorted(expected - files.keys())
    if missing:
        raise ValueError(
            f"{folder} must hold the {len(expected)} tensors that its config.json implies, it lacks "
            f"{len(missing)}, such as {missing[0]}. Weights and config.json belong to different models, or the "
            "checkpoint is incomplete: fetch it again."
        )
    # A tied checkpoint may repeat the embedding as a head; transformers ignores it too.
    unknown = sorted(files.keys() - expected - ({"lm_head.weight"} if config.tied else set()))
    if unknown:
        raise ValueError(
            f"{folder} must hold only tensors that a {family(config)} model with this config.json has, it also has "
            f"{len(unknown)} others, such as {unknown[0]}. Leaving them out would change the model's outputs."
        )


def save(
    folder: Path, config: DecoderConfig, params: Params, *, tokenizer: "PreTrainedTokenizerBase | None" = None
) -> None:
    """Write a folder that `transformers.AutoModelForCausalLM` and our own `load` read.

    Everything is written beside `folder` first and moved there at the end, so an interrupted save
    leaves no folder that looks whole.

    Args:
        folder: must not exist, or be empty.
        params: each leaf is written in its own dtype.
        tokenizer: written along, chat template included; its special tokens enter config.json and
            generation_config.json.

    Raises:
        ValueError: a folder with contents, or an architecture that transformers does not have.
    """
    from safetensors.numpy import save_file

    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"folder must be new or empty, got {folder}, which has contents. Choose another or remove it.")
    mapping = to_hugging_face(config)
    tensors = _tensors(config, params)
    mapping["dtype"] = str(next(iter(tensors.values())).dtype)
    generation = {"_from_model_config": True}
    if tokenizer is not None:
        special = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
        special = {name: value for name, value in special.items() if value is not None}
        mapping |= special
        generation |= special
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        save_file(tensors, unfinished / "model.safetensors", metadata={"format": "pt"})
        for name, contents in (("config.json", mapping), ("generation_config.json", generation)):
            (unfinished / name).write_text(json.dumps(contents, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        if tokenizer is not None:
            tokenizer.save_pretrained(unfinished)
        unfinished.chmod(0o755)
        os.replace(unfinished, folder)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def _tensors(config: DecoderConfig, params: Params) -> dict[str, np.ndarray]:
    """The checkpoint's tensors by name."""
    table = NAMINGS[family(config)].table
    leaves = [(table[_dotted(path)], np.asarray(leaf)) for path, leaf in jax.tree.leaves_with_path(params)]
    # Queries, keys and values that share a tensor lie in it in the order of their part.
    leaves.sort(key=lambda leaf: leaf[0].part or 0)
    parts: dict[str, list[np.ndarray]] = {}
    for stored, leaf in leaves:
        for layer, parameter in enumerate(leaf if "{}" in stored.name else leaf[None]):
            parts.setdefault(stored.name.format(layer), []).append(stored.write(parameter))
    # safetensors writes the buffer as it lies in memory, whatever the strides say.
    return {name: np.ascontiguousarray(np.concatenate(part, axis=-1)) for name, part in parts.items()}
