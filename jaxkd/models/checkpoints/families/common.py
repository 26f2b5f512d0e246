"""Fields of config.json common to the families: activations, rotary positions, windows."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from jaxkd.models.transformer.architecture import Activation, DecoderConfig, LinearScaling, Llama3Scaling, YarnScaling

Fields: TypeAlias = Mapping[str, Any]
"""Contents of a config.json."""

_ACTIVATIONS: dict[str, Activation] = {
    "silu": "silu",
    "swish": "silu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu": "gelu",
    "relu": "relu",
}

SCALINGS = ("default", "linear", "llama3", "yarn")
"""Supported values of `rope_type`."""


def require(fields: Fields, name: str, *supported: Any) -> None:
    """Reject an option whose value would change the outputs.

    Raises:
        ValueError: the option has a value other than these.
    """
    if name in fields and fields[name] not in supported:
        choices = " or ".join(str(value) for value in supported)
        raise ValueError(f"{name} must be {choices}, got {fields[name]!r}: other values are not supported.")


def activation(name: str) -> Activation:
    """Return our activation for the name in a file."""
    if name not in _ACTIVATIONS:
        raise ValueError(f"the activation must be one of {', '.join(_ACTIVATIONS)}, got {name!r}.")
    return _ACTIVATIONS[name]


def activation_name(ours: Activation) -> str:
    """Return a file's name for our activation."""
    return "gelu_pytorch_tanh" if ours == "gelu_tanh" else ours


def kv_heads(fields: Fields) -> int:
    """Return the number of key and value heads; null means as many as query heads."""
    return fields["num_key_value_heads"] or fields["num_attention_heads"]


def rope(fields: Fields) -> Fields:
    """Return the options of rotary positions, which transformers 5 collects in one mapping and older files do not."""
    return fields.get("rope_scaling") or fields.get("rope_parameters") or {}


def rope_theta(fields: Fields, default: float) -> float:
    """Return the base of the rotation."""
    return float(rope(fields).get("rope_theta") or fields.get("rope_theta") or default)


def rope_scaling(options: Fields, max_positions: int) -> LinearScaling | Llama3Scaling | YarnScaling | None:
    """Return the scaling that a mapping with a `rope_type` describes.

    Args:
        options: result of `rope`.
        max_positions: default for a missing original length.
    """
    kind = options.get("rope_type") or options.get("type") or "default"
    original = options.get("original_max_position_embeddings") or max_positions
    match kind:
        case "default":
            return None
        case "linear":
            return LinearScaling(factor=float(options["factor"]))
        case "llama3":
            return Llama3Scaling(
                factor=float(options["factor"]),
                low_frequency_factor=float(options["low_freq_factor"]),
                high_frequency_factor=float(options["high_freq_factor"]),
                original_positions=original,
            )
        case "yarn":
            factor = float(options.get("factor") or max_positions / original)
            return YarnScaling(
                factor=factor,
                original_positions=original,
                amplitude=_yarn_amplitude(options, factor),
                fast_turns=float(options.get("beta_fast") or 32),
                slow_turns=float(options.get("beta_slow") or 1),
                whole_pairs=options.get("truncate", True),
            )
    raise ValueError(
        f"rope_type must be one of {', '.join(SCALINGS)}, got {kind!r}: its rotations are computed in another way."
    )


def _yarn_amplitude(options: Fields, factor: float) -> float:
    if options.get("attention_factor") is not None:
        return float(options["attention_factor"])

    def amplitude(weight: float) -> float:
        return 1.0 if factor <= 1 else 0.1 * weight * math.log(factor) + 1.0

    if options.get("mscale") and options.get("mscale_all_dim"):
        return amplitude(options["mscale"]) / amplitude(options["mscale_all_dim"])
    return amplitude(1.0)


def rope_scaling_fields(scaling: LinearScaling | Llama3Scaling | YarnScaling | None) -> dict[str, Any] | None:
    """Return the mapping that `rope_scaling` reads."""
    match scaling:
        case None:
            return None
        case LinearScaling():
            return {"rope_type": "linear", "factor": scaling.factor}
        case Llama3Scaling():
            return {
                "rope_type": "llama3",
                "factor": scaling.factor,
                "low_freq_factor": scaling.low_frequency_factor,
                "high_freq_factor": scaling.high_frequency_factor,
                "original_max_position_embeddings": scaling.original_positions,
            }
        case YarnScaling():
            return {
                "rope_type": "yarn",
                "factor": scaling.factor,
                "original_max_position_embeddings": scaling.original_positions,
                "attention_factor": scaling.amplitude,
                "beta_fast": scaling.fast_turns,
                "beta_slow": scaling.slow_turns,
                "truncate": scaling.whole_pairs,
            }


def windows(layer_types: Sequence[str], window: int | None, depth: int) -> tuple[int, ...] | None:
    """Return the window of each layer; None if every layer attends to all tokens.

    Args:
        layer_types: `full_attention` or `sliding_attention` for each layer.
        window: tokens that a `sliding_attention` layer attends to; None is no window.
        depth: number of layers.
    """
    known = ("full_attention", "sliding_attention")
    others = sorted(set(layer_types) - set(known))
    if others or len(layer_types) != depth:
        raise ValueError(
            f"layer_types must name {' or '.join(known)} for each of the {depth} layers, got {list(layer_types)}."
        )
    if "sliding_attention" not in layer_types:
        return None
    if window is None:
        raise ValueError("sliding_window must be a number where layer_types has sliding_attention, got None.")
    return tuple(window if kind == "sliding_attention" else 0 for kind in layer_types)


def layer_types(config: DecoderConfig) -> list[str]:
    """Return the `layer_types` that `windows` reads."""
    return ["sliding_attention" if kind.window else "full_attention" for kind in config.layer_kinds]


def widest_window(config: DecoderConfig) -> int | None:
    """Return the one window that a config.json can name; None if there is none."""
    return max(config.windows or (0,)) or None
