"""Where each parameter lies in a Hugging Face checkpoint: its name there, and the layout it is stored in."""

import dataclasses
import math
import re

import numpy as np

IGNORED = re.compile(r"(\.rotary_emb\.inv_freq|\.attn\.bias|\.attn\.masked_bias)$")
"""Buffers that old checkpoints carry and that are no parameters: rotary frequencies, causal masks."""


@dataclasses.dataclass(frozen=True)
class Stored:
    """A parameter's tensor in the checkpoint."""

    name: str
    """`{}` stands for the layer."""
    inputs: int = 1
    """How many leading axes of the parameter the stored matrix has flattened into its rows; 0 for a vector."""
    transposed: bool = False
    """Whether it is stored `[out, in]`, as torch's Linear, instead of `[in, out]`."""
    part: int | None = None
    """Which third of the stored tensor's last axis it is, where queries, keys and values lie side by side."""

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of the stored tensor for a parameter of this shape."""
        columns = math.prod(shape[self.inputs :]) * (1 if self.part is None else 3)
        stored = (math.prod(shape[: self.inputs]), columns) if self.inputs else (columns,)
        return stored[::-1] if self.transposed else stored

    def read(self, tensor: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """The parameter out of the stored tensor."""
        matrix = tensor.T if self.transposed else tensor
        if self.part is not None:
            matrix = np.split(matrix, 3, axis=-1)[self.part]
        return matrix.reshape(shape)

    def write(self, parameter: np.ndarray) -> np.ndarray:
        """The stored tensor, or its third, of a parameter."""
        whole = dataclasses.replace(self, part=None, transposed=False)
        matrix = parameter.reshape(whole.shape(parameter.shape))
        return matrix.T if self.transposed else matrix


def _linear(ours: str, theirs: str, *, inputs: int = 1) -> dict[str, Stored]:
    return {
        f"{ours}.kernel": Stored(f"{theirs}.weight", inputs=inputs, transposed=True),
        f"{ours}.bias": Stored(f"{theirs}.bias", inputs=0),
    }


def _conv1d(ours: str, theirs: str, *, inputs: int = 1, part: int | None = None) -> dict[str, Stored]:
    """GPT-2's own linear layer, which stores its matrix `[in, out]`."""
    return {
        f"{ours}.kernel": Stored(f"{theirs}.weight", inputs=inputs, part=part),
        f"{ours}.bias": Stored(f"{theirs}.bias", inputs=0, part=part),
    }


def _norm(ours: str, theirs: str) -> dict[str, Stored]:
    return {f"{ours}.scale": Stored(f"{theirs}.weight", inputs=0), f"{ours}.bias": Stored(f"{theirs}.bias", inputs=0)}


_LLAMA = {
    "embedding": Stored("model.embed_tokens.weight"),
    "head": Stored("lm_head.weight"),
    **_norm("final_norm", "model.norm"),
    **_norm("blocks.attention_norm", "model.layers.{}.input_layernorm"),
    **_norm("blocks.mlp_norm", "model.layers.{}.post_attention_layernorm"),
    **_linear("blocks.attention.query", "model.layers.{}.self_attn.q_proj"),
    **_linear("blocks.attention.key", "model.layers.{}.self_attn.k_proj"),
    **_linear("blocks.attention.value", "model.layers.{}.self_attn.v_proj"),
    **_linear("blocks.attention.output", "model.layers.{}.self_attn.o_proj", inputs=2),
    **_linear("blocks.mlp.gate", "model.layers.{}.mlp.gate_proj"),
    **_linear("blocks.mlp.up", "model.layers.{}.mlp.up_proj"),
    **_linear("blocks.mlp.down", "model.layers.{}.mlp.down_proj"),
}

_GPT2 = {
    "embedding": Stored("transformer.wte.weight"),
    "positions": Stored("transformer.wpe.weight"),
    "head": Stored("lm_head.weight"),
    **_norm("final_norm", "transformer.ln_f"),
    **_norm("blocks.attention_norm", "transformer.h.{}.ln_1"),
    **_norm("blocks.mlp_norm", "transformer.h.{}.ln_2"),
    **_conv1d("blocks.attention.query", "transformer.h.{}.attn.c_attn", part=0),
    **_conv1d("blocks.attention.key", "transformer.h.{}.attn.c_attn", part=1),
    **_conv1d("blocks.attention.value", "transformer.h.{}.attn.c_attn", part=2),
    **_conv1d("blocks.attention.output", "transformer.h.{}.attn.c_proj", inputs=2),
    **_conv1d("blocks.mlp.up", "transformer.h.{}.mlp.c_fc"),
    **_conv1d("blocks.mlp.down", "transformer.h.{}.mlp.c_proj"),
}


@dataclasses.dataclass(frozen=True)
class Naming:
    """How one family names its tensors."""

    prefix: str
    """In front of all names but the head's; absent in checkpoints saved from the model without a head."""
    table: dict[str, Stored]
    """Dotted path of a parameter -> where it is stored."""

    def canonical(self, name: str) -> str:
        """The name in `table` of a tensor that a file calls `name`."""
        return name if name.startswith((self.prefix, "lm_head.")) else self.prefix + name


NAMINGS = {
    "llama": Naming("model.", _LLAMA),
    "qwen2": Naming("model.", _LLAMA),
    "gpt2": Naming("transformer.", _GPT2),
}
"""By `config.family`."""
