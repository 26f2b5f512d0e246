"""Conversion between architectures and Hugging Face's config.json, in the spelling of transformers 4 or 5."""

import dataclasses
import functools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jaxkd.models.checkpoints.families import common, gemma, gpt2, gpt_neox, llama
from jaxkd.models.transformer.architecture import DecoderConfig


@dataclasses.dataclass(frozen=True)
class _Family:
    """Reader and writer of one `model_type`."""

    class_name: str
    """Name of the transformers class."""
    read: Callable[[Mapping[str, Any]], DecoderConfig]
    write: Callable[[DecoderConfig], dict[str, Any]]
    """Inverse of `read`, for the configs that this family can express."""
    heads_divide_width: bool = False
    """Whether transformers requires the heads to divide the width, even with a separate `head_dim`."""


# In the order in which `family` tries them: simpler families first.
_FAMILIES = {
    "llama": _Family("LlamaForCausalLM", llama.read_llama, llama.write_llama, heads_divide_width=True),
    "mistral": _Family("MistralForCausalLM", llama.read_mistral, llama.write_mistral),
    "qwen2": _Family("Qwen2ForCausalLM", llama.read_qwen2, llama.write_qwen2),
    "qwen3": _Family("Qwen3ForCausalLM", llama.read_qwen3, llama.write_qwen3),
    "smollm3": _Family("SmolLM3ForCausalLM", llama.read_smollm3, llama.write_smollm3),
    "gemma": _Family("GemmaForCausalLM", gemma.read_gemma, gemma.write_gemma),
    "gemma2": _Family("Gemma2ForCausalLM", gemma.read_gemma2, gemma.write_gemma2, heads_divide_width=True),
    "gemma3_text": _Family("Gemma3ForCausalLM", gemma.read_gemma3, gemma.write_gemma3, heads_divide_width=True),
    "gpt_neox": _Family("GPTNeoXForCausalLM", gpt_neox.read_gpt_neox, gpt_neox.write_gpt_neox, heads_divide_width=True),
    "gpt2": _Family("GPT2LMHeadModel", gpt2.read_gpt2, gpt2.write_gpt2),
}

FAMILIES = tuple(_FAMILIES)
"""Values of config.json's `model_type` that `from_hugging_face` reads."""

_NOT_ARCHITECTURE = ("dropout", "tokens", "lora")
"""Fields of a config that a config.json need not express."""

_DIFFERENCES = {
    "gemma3": "it reads images too; its language model alone is 'gemma3_text'",
    "ministral": "it is Mistral with windows in some layers only, which transformers names apart",
    "mixtral": "its feed-forward network is a mixture of experts",
    "qwen2_moe": "its feed-forward network is a mixture of experts",
    "qwen3_moe": "its feed-forward network is a mixture of experts",
    "gpt_oss": "its feed-forward network is a mixture of experts, and its softmax has a sink",
    "olmo2": "it norms queries and keys over all heads at once, and no branch's input",
    "opt": "its table of positions begins at row 2",
    "phi": "its prediction head has a bias",
    "phi3": "its projections are fused in unequal parts, and long contexts rotate by tables",
}
"""Unsupported relatives, and the reasons."""


def read(folder: Path) -> DecoderConfig:
    """Read the architecture from a Hugging Face folder's config.json.

    Raises:
        ValueError: no config.json, one that is not JSON, or an architecture that is not supported.
    """
    path = Path(folder) / "config.json"
    if not path.is_file():
        raise ValueError(
            f"folder must be a Hugging Face checkpoint, got {folder}, which has no config.json. "
            "Name the folder that save_pretrained wrote."
        )
    try:
        mapping = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} must be JSON, got a file that fails with: {error}. Copy it again.") from error
    try:
        return from_hugging_face(mapping)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def from_hugging_face(mapping: Mapping[str, Any]) -> DecoderConfig:
    """Convert the contents of a config.json, in the spelling of transformers 4 or 5, to a config.

    Raises:
        ValueError: an architecture or an option that changes the outputs and is not supported.
    """
    name = mapping.get("model_type")
    if name not in _FAMILIES:
        difference = f": {_DIFFERENCES[name]}" if name in _DIFFERENCES else ""
        raise ValueError(f"model_type must be one of {', '.join(FAMILIES)}, got {name!r}{difference}.")
    common.require(mapping, "quantization_config", None)
    try:
        return _FAMILIES[name].read(mapping)
    except KeyError as error:
        raise ValueError(f"config.json must have {error.args[0]!r} for model_type {name!r}, it does not.") from None


@functools.lru_cache
def family(config: DecoderConfig) -> str:
    """Return the `model_type` under which transformers computes the same function.

    It is the first family whose config.json, written and read back, is this config, ignoring dropout, which most
    families do not have.

    Raises:
        ValueError: a combination that no supported family has.
    """
    differences = {name: _differences(config, name) for name in _FAMILIES}
    for name, fields in differences.items():
        if not fields:
            return name
    nearest = min(differences, key=lambda name: len(differences[name]))
    raise ValueError(
        f"config must match a family that transformers has ({', '.join(FAMILIES)}), got one that none has. "
        f"The nearest is {nearest}, which has {', '.join(differences[nearest])}."
    )


def _differences(config: DecoderConfig, name: str) -> list[str]:
    """List the config fields that a config.json of this family cannot express, as the `field=value` it would give."""
    fields = [field.name for field in dataclasses.fields(DecoderConfig) if field.name not in _NOT_ARCHITECTURE]
    try:
        closest = from_hugging_face({"model_type": name, **_FAMILIES[name].write(config)})
    except ValueError:
        return fields  # the family cannot express it at all: list all fields
    differences = [
        f"{field}={getattr(closest, field)!r}" for field in fields if getattr(closest, field) != getattr(config, field)
    ]
    if _FAMILIES[name].heads_divide_width and config.width % config.heads:
        differences.append("a width that its heads divide")
    return differences


def to_hugging_face(config: DecoderConfig) -> dict[str, Any]:
    """Return the contents of a config.json, in the spelling of transformers 4, which version 5 also reads.

    `from_hugging_face(to_hugging_face(config)) == config`, except for the dropout of most families, for which
    transformers has no option.

    Raises:
        ValueError: as `family`.
    """
    name = family(config)
    return {
        "model_type": name,
        "architectures": [_FAMILIES[name].class_name],
        **_FAMILIES[name].write(config),
    }
