"""Names and storage layouts of parameters in Hugging Face checkpoints."""

import dataclasses
import math
import re
from typing import Literal

import numpy as np

IGNORED = re.compile(r"(\.rotary_emb\.inv_freq|\.(attn|attention)\.(bias|masked_bias))$")
"""Names of buffers in old checkpoints that are not parameters: rotary frequencies, causal masks."""

FUSED = 3
"""Number of parts of a fused tensor: queries, keys and values."""


@dataclasses.dataclass(frozen=True)
class Stored:
    """Stored tensor of a parameter in the checkpoint."""

    name: str
    """Name of the tensor; `{}` stands for the layer."""
    inputs: int = 1
    """Number of the parameter's leading axes that are flattened into the stored matrix's rows; 0 for a vector."""
    transposed: bool = False
    """Whether it is stored `[out, in]`, like torch's Linear, instead of `[in, out]`."""
    part: int | None = None
    """Index of the parameter in a fused tensor of queries, keys and values; None if it has its own."""
    order: Literal["parts", "heads"] = "parts"
    """Order of the outputs in a fused tensor: all queries, keys, then values; or the three of each head in turn."""

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of the stored tensor for a parameter of this shape."""
        columns = math.prod(shape[self.inputs :]) * (1 if self.part is None else FUSED)
        stored = (math.prod(shape[: self.inputs]), columns) if self.inputs else (columns,)
        return stored[::-1] if self.transposed else stored

    def read(self, tensor: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Extract the parameter from the stored tensor."""
        matrix = tensor.T if self.transposed else tensor
        if self.part is not None:
            matrix = np.take(matrix.reshape(self._unfused(shape)), self.part, self._part_axis())
        return matrix.reshape(shape)

    def write(self, *parameters: np.ndarray) -> np.ndarray:
        """Return the stored tensor of a parameter, or of the three that share it, in the order of `part`."""
        matrix = parameters[0] if self.part is None else np.stack(parameters, self._part_axis())
        stored = self.shape(parameters[0].shape)
        return matrix.reshape(stored[::-1]).T if self.transposed else matrix.reshape(stored)

    def _part_axis(self) -> int:
        """Axis of the three parts, beside those of heads and head_dim."""
        return -3 if self.order == "parts" else -2

    def _unfused(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        *inputs, heads, head_dim = shape
        return (*inputs, FUSED, heads, head_dim) if self.order == "parts" else (*inputs, heads, FUSED, head_dim)


def _linear(
    ours: str, theirs: str, *, inputs: int = 1, part: int | None = None, order: Literal["parts", "heads"] = "parts"
) -> dict[str, Stored]:
    return {
        f"{ours}.kernel": Stored(f"{theirs}.weight", inputs=inputs, transposed=True, part=part, order=order),
        f"{ours}.bias": Stored(f"{theirs}.bias", inputs=0, part=part, order=order),
    }


def _conv1d(ours: str, theirs: str, *, inputs: int = 1, part: int | None = None) -> dict[str, Stored]:
    """Describe GPT-2's own linear layer, which stores its matrix `[in, out]`."""
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
    **_norm("blocks.attention.query_norm", "model.layers.{}.self_attn.q_norm"),
    **_norm("blocks.attention.key_norm", "model.layers.{}.self_attn.k_norm"),
    **_linear("blocks.mlp.gate", "model.layers.{}.mlp.gate_proj"),
    **_linear("blocks.mlp.up", "model.layers.{}.mlp.up_proj"),
    **_linear("blocks.mlp.down", "model.layers.{}.mlp.down_proj"),
}

# The same names for other positions: Gemma 2 and 3 also norm the output of each branch.
_GEMMA = {
    **_LLAMA,
    **_norm("blocks.attention_output_norm", "model.layers.{}.post_attention_layernorm"),
    **_norm("blocks.mlp_norm", "model.layers.{}.pre_feedforward_layernorm"),
    **_norm("blocks.mlp_output_norm", "model.layers.{}.post_feedforward_layernorm"),
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

_GPT_NEOX = {
    "embedding": Stored("gpt_neox.embed_in.weight"),
    "head": Stored("embed_out.weight"),
    **_norm("final_norm", "gpt_neox.final_layer_norm"),
    **_norm("blocks.attention_norm", "gpt_neox.layers.{}.input_layernorm"),
    **_norm("blocks.mlp_norm", "gpt_neox.layers.{}.post_attention_layernorm"),
    **_linear("blocks.attention.query", "gpt_neox.layers.{}.attention.query_key_value", part=0, order="heads"),
    **_linear("blocks.attention.key", "gpt_neox.layers.{}.attention.query_key_value", part=1, order="heads"),
    **_linear("blocks.attention.value", "gpt_neox.layers.{}.attention.query_key_value", part=2, order="heads"),
    **_linear("blocks.attention.output", "gpt_neox.layers.{}.attention.dense", inputs=2),
    **_linear("blocks.mlp.up", "gpt_neox.layers.{}.mlp.dense_h_to_4h"),
    **_linear("blocks.mlp.down", "gpt_neox.layers.{}.mlp.dense_4h_to_h"),
}


@dataclasses.dataclass(frozen=True)
class Naming:
    """Tensor names of one family."""

    prefix: str
    """Prefix of all names but the head's; absent in checkpoints saved from the model without a head."""
    table: dict[str, Stored]
    """Stored tensor of each parameter, by dotted path."""

    @property
    def head(self) -> str:
        """Name of the prediction head; a tied checkpoint may repeat the embedding under it."""
        return self.table["head"].name

    def canonical(self, name: str) -> str:
        """Return the name in `table` of a tensor that a file calls `name`."""
        # transformers 5 names every head lm_head in memory, and so do some files.
        if name in ("lm_head.weight", self.head):
            return self.head
        return name if name.startswith(self.prefix) else self.prefix + name


NAMINGS = {
    "llama": Naming("model.", _LLAMA),
    "mistral": Naming("model.", _LLAMA),
    "qwen2": Naming("model.", _LLAMA),
    "qwen3": Naming("model.", _LLAMA),
    "smollm3": Naming("model.", _LLAMA),
    "gemma": Naming("model.", _LLAMA),
    "gemma2": Naming("model.", _GEMMA),
    "gemma3_text": Naming("model.", _GEMMA),
    "gpt_neox": Naming("gpt_neox.", _GPT_NEOX),
    "gpt2": Naming("transformer.", _GPT2),
}
"""Naming of each `config.family`."""
