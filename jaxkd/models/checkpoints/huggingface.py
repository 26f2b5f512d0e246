"""Hugging Face checkpoints: reading into our parameters, and writing for transformers."""

import functools
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from numpy.typing import DTypeLike

from jaxkd.models import surgery
from jaxkd.models.checkpoints import weight_files
from jaxkd.models.checkpoints.checkpoint_names import IGNORED, NAMINGS, Stored
from jaxkd.models.checkpoints.config import family, to_hugging_face
from jaxkd.models.checkpoints.weight_files import Tensor, new_folder
from jaxkd.models.checkpoints.weights import Weights
from jaxkd.models.transformer import decoder
from jaxkd.models.transformer.architecture import DecoderConfig
from jaxkd.sharding import placement
from jaxkd.typing import Params

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

GENERATION_CONFIG = "generation_config.json"

SENTENCEPIECE = "tokenizer.model"
"""File from which other programs read a SentencePiece tokenizer; transformers does not write it."""

MAX_SHARD_BYTES = 5 * 10**9

_COMPARED_ROWS = 4096


def load(
    folder: Path, config: DecoderConfig, *, layers: Sequence[int] | None = None, dtype: DTypeLike = np.float32
) -> Params:
    """Load the parameters of a checkpoint as host arrays, one tensor at a time.

    Args:
        folder: a Hugging Face folder with safetensors weights.
        config: architecture of the whole checkpoint, as `config.read(folder)` returns it.
        layers: layers to read, in this order; None reads all.
        dtype: dtype of the arrays.

    Raises:
        ValueError: weights that are missing, truncated, of another shape, or not used by this architecture: a model
            with tensors that we do not apply would compute something else.
    """
    checkpoint = _Checkpoint(folder, config, layers)

    def read(path: str, leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        sources = checkpoint.sources(path, leaf.shape)
        if not _is_stacked(path):
            return np.array(sources[0](), dtype, order="C")
        stack = np.empty(leaf.shape, dtype)
        for row, source in enumerate(sources):
            stack[row] = source()
        return stack

    return _each(checkpoint.abstract(), read)


def load_sharded(
    folder: Path,
    config: DecoderConfig,
    target: Params | None = None,
    *,
    layers: Sequence[int] | None = None,
    keep: Callable[[str, jax.Array], Any] = lambda path, parameter: parameter,
) -> Params:
    """Load the parameters of a checkpoint on the devices that need them.

    Each device's part of each tensor is read from the files, cast and sent separately, layer by layer: the host holds
    little more than one layer's tensor.

    Args:
        folder: a Hugging Face folder with safetensors weights.
        config: architecture of the whole checkpoint, as `config.read(folder)` returns it.
        target: `jax.ShapeDtypeStruct`s of the parameters to read, or of a part of their dict; they give the dtype and
            sharding of each.  None reads everything as float32 onto the default device.
        layers: layers to read, in this order; None reads all.
        keep: `(dotted path, parameter) -> replacement`, applied before the next one is read.

    Raises:
        ValueError: as `load`, or a target of another shape than the checkpoint's.
    """
    checkpoint = _Checkpoint(folder, config, layers)

    def read(path: str, leaf: jax.ShapeDtypeStruct) -> Any:
        sources = checkpoint.sources(path, leaf.shape)
        return keep(
            path, placement.stacked(leaf, sources) if _is_stacked(path) else placement.sharded(leaf, sources[0])
        )

    return _each(checkpoint.abstract() if target is None else target, read)


def shapes(config: DecoderConfig) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor of a checkpoint with this architecture, by its name there."""
    table, found = NAMINGS[family(config)].table, {}
    for path, leaf in ((_dotted(path), leaf) for path, leaf in jax.tree.leaves_with_path(decoder.abstract(config))):
        stored = table[path]
        if _is_stacked(path):
            found |= {stored.name.format(layer): stored.shape(leaf.shape[1:]) for layer in range(config.depth)}
        else:
            found[stored.name] = stored.shape(leaf.shape)
    return found


def _each(target: Params, read: Callable[[str, Any], Any]) -> Params:
    """Return a dict like `target`, each leaf read by its dotted path."""
    leaves, treedef = jax.tree.flatten_with_path(target)
    # Read the tables first: reading one keeps a copy on the host, where later the other arrays would be as well.
    order = sorted(range(len(leaves)), key=lambda number: _is_stacked(_dotted(leaves[number][0])))
    values = {number: read(_dotted(leaves[number][0]), leaves[number][1]) for number in order}
    return jax.tree.unflatten(treedef, [values[number] for number in range(len(leaves))])


def _dotted(path: tuple[Any, ...]) -> str:
    return ".".join(str(entry.key) for entry in path)


def _is_stacked(path: str) -> bool:
    return path.startswith("blocks.")


class _Checkpoint:
    """Tensors of a folder by the paths of our parameters, checked before any is read."""

    def __init__(self, folder: Path, config: DecoderConfig, layers: Sequence[int] | None):
        self._folder = Path(folder)
        self._config = config
        self._layers = tuple(range(config.depth)) if layers is None else tuple(layers)
        surgery.check_layers(config, self._layers)
        self._naming = NAMINGS[family(config)]
        self._weights = Weights(self._folder)
        self._files = {self._naming.canonical(name): name for name in self._weights.names() if not IGNORED.search(name)}
        self._check_names()
        self._check_head()

    def abstract(self) -> Params:
        """Return the abstract parameters of the layers to read."""
        return decoder.abstract(self._config.with_layers(self._layers))

    def sources(self, path: str, shape: tuple[int, ...]) -> list[Callable[[], np.ndarray]]:
        """Return the tensors of a parameter of this shape: one per layer, or one in all."""
        stored = self._naming.table[path]
        if not _is_stacked(path):
            return [functools.partial(self._read, stored, stored.name, shape)]
        if shape[0] != len(self._layers):
            raise ValueError(
                f"target must have one row a layer, got {shape[0]} rows in {path} for {len(self._layers)} layers."
            )
        return [functools.partial(self._read, stored, stored.name.format(layer), shape[1:]) for layer in self._layers]

    def _read(self, stored: Stored, name: str, shape: tuple[int, ...]) -> np.ndarray:
        tensor = self._weights.mapped(self._files[name])
        if tensor.shape != stored.shape(shape):
            raise ValueError(
                f"{name} must have the shape {stored.shape(shape)} by config.json, "
                f"got {tensor.shape} in {self._folder}. Weights and config.json belong to different models."
            )
        return stored.read(tensor, shape)

    def _check_names(self) -> None:
        """Reject a folder whose tensors are not exactly those of the architecture."""
        expected = shapes(self._config).keys()
        missing = sorted(expected - self._files.keys())
        head = self._naming.head
        if missing == [head]:
            raise ValueError(
                f"{self._folder} must hold {head}, since its config.json does not tie the head to the embedding, it "
                "does not. If the head is the embedding, set tie_word_embeddings to true there; if not, the "
                "checkpoint was saved without its head: fetch the one with it."
            )
        if missing:
            raise ValueError(
                f"{self._folder} must hold the {len(expected)} tensors that its config.json implies, it lacks "
                f"{len(missing)}, such as {missing[0]}. Weights and config.json belong to different models, or the "
                "checkpoint is incomplete: fetch it again."
            )
        unknown = sorted(self._files.keys() - expected - ({head} if self._config.tied else set()))
        if unknown:
            raise ValueError(
                f"{self._folder} must hold only tensors that a {family(self._config)} model with this config.json "
                f"has, it also has {len(unknown)} others, such as {unknown[0]}. Leaving them out would change the "
                "model's outputs."
            )

    def _check_head(self) -> None:
        """Check the head of a tied checkpoint, which may only repeat the embedding."""
        name = self._naming.head
        if not self._config.tied or name not in self._files:
            return
        head = self._weights.mapped(self._files[name])
        embedding = self._weights.mapped(self._files[self._naming.table["embedding"].name])
        parts = range(0, len(head), _COMPARED_ROWS)
        if head.shape != embedding.shape or any(
            (head[start : start + _COMPARED_ROWS] != embedding[start : start + _COMPARED_ROWS]).any() for start in parts
        ):
            raise ValueError(
                f"{name} must equal the embedding, since config.json ties them, it differs in {self._folder}. Set "
                "tie_word_embeddings to false there if the model was trained with a head of its own."
            )


def save(
    folder: Path,
    config: DecoderConfig,
    params: Params,
    *,
    dtype: DTypeLike | None = None,
    tokenizer: "PreTrainedTokenizerBase | None" = None,
    source: Path | None = None,
    max_shard_bytes: int = MAX_SHARD_BYTES,
) -> None:
    """Write a folder that `transformers.AutoModelForCausalLM` and our own `load` read.

    One tensor at a time is copied to the host.  Everything is first written beside `folder` and moved there at the end,
    so an interrupted save leaves no folder that looks complete.

    Args:
        folder: must not exist, or be empty.
        params: host or device arrays, without adapters: merge those first.
        dtype: dtype of the written weights; None keeps each leaf's.
        tokenizer: also written, chat template included; its special tokens enter config.json and
            generation_config.json.
        source: folder of the checkpoint that the model was made from: its generation_config.json and, if present, its
            SentencePiece model are copied.
        max_shard_bytes: longest weight file; several files get an index.

    Raises:
        ValueError: a folder with contents, parameters that are not the config's, or an architecture
            that transformers does not have.
    """
    mapping = to_hugging_face(config)
    tensors = _tensors(config, params, dtype)
    mapping["dtype"] = next(iter(tensors.values())).dtype.name
    generation: dict[str, Any] = {"_from_model_config": True}
    if tokenizer is not None:
        special = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
        special = {name: value for name, value in special.items() if value is not None}
        mapping |= special
        generation |= special
    if source is not None and (source / GENERATION_CONFIG).is_file():
        generation = json.loads((source / GENERATION_CONFIG).read_text(encoding="utf-8"))
    with new_folder(folder) as unfinished:
        weight_files.write(unfinished, tensors, max_shard_bytes=max_shard_bytes)
        for name, contents in (("config.json", mapping), (GENERATION_CONFIG, generation)):
            (unfinished / name).write_text(json.dumps(contents, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        if tokenizer is not None:
            tokenizer.save_pretrained(unfinished)
            if source is not None and (source / SENTENCEPIECE).is_file():
                shutil.copyfile(source / SENTENCEPIECE, unfinished / SENTENCEPIECE)


def end_tokens(folder: Path) -> tuple[int, ...]:
    """Return the ids that end a text, from a folder's generation_config.json; chat models have several."""
    path = folder / GENERATION_CONFIG
    if not path.is_file():
        return ()
    ids = json.loads(path.read_text(encoding="utf-8")).get("eos_token_id")
    return () if ids is None else (ids,) if isinstance(ids, int) else tuple(ids)


def _tensors(config: DecoderConfig, params: Params, dtype: DTypeLike | None) -> dict[str, Tensor]:
    """Return the checkpoint's tensors by name: first those outside the layers, then layer by layer."""
    table = NAMINGS[family(config)].table
    shared: dict[str, list[tuple[Stored, Any]]] = {}
    for path, leaf in ((_dotted(path), leaf) for path, leaf in jax.tree.leaves_with_path(params)):
        if path not in table:
            raise ValueError(
                f"params must be those of a {family(config)} model, got {path}, which its checkpoints cannot "
                "hold. Merge adapters into their matrices first, with jaxkd.models.transformer.lora.merge."
            )
        shared.setdefault(table[path].name, []).append((table[path], leaf))
    tensors: list[tuple[int, str, Tensor]] = []
    for name, parts in shared.items():
        # Queries, keys and values that share a tensor are in the order of their parts.
        parts.sort(key=lambda part: part[0].part or 0)
        stored, leaves = parts[0][0], [leaf for _, leaf in parts]
        if "{}" in name:
            layers = range(leaves[0].shape[0])
            tensors += [(layer, name.format(layer), _tensor(stored, leaves, layer, dtype)) for layer in layers]
        else:
            tensors.append((-1, name, _tensor(stored, leaves, None, dtype)))
    tensors.sort(key=lambda tensor: tensor[0])
    return {name: tensor for _, name, tensor in tensors}


def _tensor(stored: Stored, leaves: Sequence[Any], layer: int | None, dtype: DTypeLike | None) -> Tensor:
    """Return the tensor with one layer of these parameters, or with all of a parameter without layers."""
    shape = leaves[0].shape if layer is None else leaves[0].shape[1:]
    written = np.dtype(leaves[0].dtype if dtype is None else dtype)

    def values() -> np.ndarray:
        parts = (np.asarray(leaf if layer is None else leaf[layer]) for leaf in leaves)
        return stored.write(*(part.astype(written) for part in parts))

    return Tensor(shape=stored.shape(shape), dtype=written, values=values)
