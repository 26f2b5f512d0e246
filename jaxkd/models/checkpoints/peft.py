"""Export of adapters to a folder that the PEFT library loads on top of their base checkpoint."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
from numpy.typing import DTypeLike

from jaxkd.models.checkpoints import weight_files
from jaxkd.models.checkpoints.checkpoint_names import FUSED, NAMINGS, Stored
from jaxkd.models.checkpoints.config import family
from jaxkd.models.checkpoints.weight_files import new_folder
from jaxkd.models.transformer.architecture import DecoderConfig
from jaxkd.models.transformer.lora import ADAPTER
from jaxkd.typing import Params

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def save(folder: Path, config: DecoderConfig, adapters: Params, *, base: str, dtype: DTypeLike = np.float32) -> None:
    """Write adapter_config.json and adapter_model.safetensors.

    PEFT has one pair of matrices for each tensor of a checkpoint.  If queries, keys and values share a tensor, their
    adapters become one whose rank is the sum of theirs: A side by side, B block-diagonal.

    Args:
        folder: must not exist, or be empty.
        config: config of the student, with its `lora`.
        adapters: as `lora.split` returns them, on the host or on devices.
        base: hub id or folder of the base checkpoint.
        dtype: dtype of the written matrices.

    Raises:
        ValueError: a folder with contents, a config without `lora`, or an architecture that
            transformers does not have.

    Source: the files of peft 0.21.2, which loads these and computes the same logits.  Deviation: none.
    """
    lora = config.lora
    if lora is None:
        raise ValueError("config must have lora to save adapters, got None. Save the whole model instead.")
    groups = _groups(config, adapters)
    written = np.dtype(dtype)
    tensors = {}
    for name, parts in groups.items():
        for layer in range(parts[0].a.shape[0]):
            module = f"base_model.model.{name.format(layer).removesuffix('.weight')}"
            # The matrices are thin, so they need not be made one at a time.
            for matrix, values in (("A", _narrow(parts, layer)), ("B", _wide(parts, layer))):
                tensors[f"{module}.lora_{matrix}.weight"] = weight_files.tensor(values.astype(written))
    shared = {_target(name): len(parts) for name, parts in groups.items() if len(parts) > 1}
    mapping = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": lora.rank,
        "lora_alpha": lora.alpha,
        "lora_dropout": lora.dropout,
        "target_modules": sorted(_target(name) for name in groups),
        "rank_pattern": {target: count * lora.rank for target, count in shared.items()},
        "alpha_pattern": {target: count * lora.alpha for target, count in shared.items()},
        "fan_in_fan_out": not next(iter(groups.values()))[0].stored.transposed,
        "bias": "none",
        "inference_mode": True,
    }
    with new_folder(folder) as unfinished:
        weight_files.write_file(unfinished / WEIGHTS, tensors)
        (unfinished / CONFIG).write_text(json.dumps(mapping, indent=2, sort_keys=True) + "\n", encoding="utf-8")


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Part:
    """Adapter of one parameter matrix, all layers, and the stored location of that matrix."""

    stored: Stored
    a: Any
    b: Any


def _groups(config: DecoderConfig, adapters: Params) -> dict[str, list[_Part]]:
    """Group adapters by the tensor that holds their matrix, in the order of their parts."""
    table = NAMINGS[family(config)].table
    groups: dict[str, list[_Part]] = {}
    leaves = jax.tree.leaves_with_path(adapters, is_leaf=lambda node: isinstance(node, dict) and ADAPTER in node)
    for path, node in leaves:
        stored = table[".".join([*(str(entry.key) for entry in path), "kernel"])]
        groups.setdefault(stored.name, []).append(_Part(stored=stored, **node[ADAPTER]))
    for parts in groups.values():
        parts.sort(key=lambda part: part.stored.part or 0)
    return groups


def _target(name: str) -> str:
    """Return the suffix of module names by which PEFT finds a module in all layers."""
    return name.partition("{}.")[2].removesuffix(".weight")


def _narrow(parts: list[_Part], layer: int) -> np.ndarray:
    """Stack the A of all parts vertically: `[rank, in]`."""
    return np.concatenate([np.asarray(part.a[layer]).reshape(-1, part.a.shape[-1]).T for part in parts])


def _wide(parts: list[_Part], layer: int) -> np.ndarray:
    """Arrange the B of all parts block-diagonally, each in the rows of its outputs: `[out, rank]`."""
    columns = []
    for part in parts:
        b = np.asarray(part.b[layer])
        # A matrix of `rank` inputs, stored like the frozen one.
        stored = dataclasses.replace(part.stored, inputs=1)
        own = stored.part
        whole = stored.write(b) if own is None else stored.write(*(b if i == own else 0 * b for i in range(FUSED)))
        columns.append(whole if stored.transposed else whole.T)
    return np.concatenate(columns, axis=1)
