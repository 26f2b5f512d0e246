"""GGUF files: converted once into a Hugging Face folder, without torch.

The weights of such a file are usually quantised.  The converted model is the quantised one,
dequantised to float32, and not the checkpoint that was published; `source.json` in the folder
says so.
"""

import collections
import dataclasses
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxkd.data import tokenizers
from jaxkd.data.packages import file_sha256

_Matrix = Float[np.ndarray, "..."]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Architecture:
    """How the files of one architecture differ from Hugging Face's layout."""

    model_type: str
    class_name: str
    interleaved: bool
    """Whether the rows of q and k are permuted inside each head, for rotary pairs (2j, 2j + 1)."""
    block: Mapping[str, str]
    """Names of a block's tensors: the file's to Hugging Face's."""


_LLAMA_BLOCK = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}

_ARCHITECTURES = {
    "llama": _Architecture(model_type="llama", class_name="LlamaForCausalLM", interleaved=True, block=_LLAMA_BLOCK),
}


def convert(gguf_path: Path | str, folder: Path | str) -> Path:
    """Write the Hugging Face folder of a GGUF file: config, float32 weights, tokenizer, provenance.

    One tensor is in memory at a time.  The folder appears complete or not at all; where it holds the
    conversion of the same file already, nothing is done.

    Args:
        gguf_path: a model of a supported architecture, in one file.
        folder: where to write; its parents are made.

    Returns:
        `folder`.

    Raises:
        FileNotFoundError: there is no such file.
        FileExistsError: the folder exists and holds something else.
        ValueError: the file is damaged, or is of a kind that cannot be converted.
    """
    gguf_path, folder = Path(gguf_path), Path(folder)
    if not gguf_path.is_file():
        raise FileNotFoundError(f"gguf_path must be a GGUF file, got {gguf_path}, which does not exist.")
    digest = file_sha256(gguf_path)
    if folder.exists():
        _require_same_source(folder, digest)
        return folder
    reader = _reader(gguf_path)
    fields = metadata(reader)
    architecture = _architecture(fields)
    config = _config(fields, architecture, reader.tensors)
    tensors = _renamed(reader.tensors, config, architecture)
    tokenizer = tokenizers.from_gguf(fields)

    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = folder.parent / f".{folder.name}-{uuid.uuid4().hex}"
    partial.mkdir()
    try:
        tokenizer.save_pretrained(partial, save_jinja_files=False)
        _write_json(partial / "config.json", config)
        _write_safetensors(partial / "model.safetensors", tensors)
        _write_json(partial / "source.json", _source(gguf_path, digest, fields, reader.tensors))
        try:
            os.rename(partial, folder)
        except OSError:
            # Another process may have finished the same conversion in the meantime.
            if not folder.exists():
                raise
            _require_same_source(folder, digest)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def metadata(reader: Any) -> dict[str, Any]:
    """The metadata of a `gguf.GGUFReader`, as Python values: numbers, texts, lists."""
    return {key: field.contents() for key, field in reader.fields.items()}


def _reader(path: Path) -> Any:
    import gguf

    try:
        return gguf.GGUFReader(path)
    except (ValueError, IndexError, UnicodeDecodeError) as error:
        raise ValueError(
            f"gguf_path must be a complete GGUF file, got {path} ({path.stat().st_size} bytes): {error}. "
            f"Download it again if it was cut short."
        ) from error


def _require_same_source(folder: Path, digest: str) -> None:
    source = folder / "source.json"
    if not source.exists() or json.loads(source.read_text())["sha256"] != digest:
        raise FileExistsError(
            f"folder must be new, or hold the conversion of the same file (sha256 {digest}), got {folder}, "
            f"which holds something else. Delete it, or name another folder."
        )


def _architecture(fields: Mapping[str, Any]) -> _Architecture:
    name = fields.get("general.architecture")
    if name not in _ARCHITECTURES:
        raise ValueError(
            f"general.architecture must be one of {', '.join(_ARCHITECTURES)}, got {name!r}. "
            f"Use the model's Hugging Face folder instead of the GGUF file."
        )
    return _ARCHITECTURES[name]


def _config(fields: Mapping[str, Any], architecture: _Architecture, tensors: Iterable[Any]) -> dict[str, Any]:
    """The config.json, in the spelling of the hub."""
    shapes = {tensor.name: tuple(int(size) for size in reversed(tensor.shape)) for tensor in tensors}
    prefix = fields["general.architecture"]

    def hyper(name: str, default: Any = None) -> Any:
        value = fields.get(f"{prefix}.{name}", default)
        if value is None:
            raise ValueError(f"the metadata must hold {prefix}.{name}, got none. The file is not a complete model.")
        return value

    width, heads = hyper("embedding_length"), hyper("attention.head_count")
    head_dim = hyper("attention.key_length", width // heads)
    rotated, scaling = hyper("rope.dimension_count", head_dim), hyper("rope.scaling.type", "none")
    if (rotated, scaling) != (head_dim, "none"):
        raise ValueError(
            f"rotary embedding must turn whole heads ({head_dim} dimensions) without scaling, got {rotated} dimensions "
            f"and scaling {scaling!r}. Use the model's Hugging Face folder instead of the GGUF file."
        )
    if "token_embd.weight" not in shapes:
        raise ValueError(f"the file must hold token_embd.weight, got {', '.join(sorted(shapes)) or 'no tensors'}.")
    ids = {
        f"{ours}_token_id": fields.get(f"tokenizer.ggml.{theirs}_token_id")
        for ours, theirs in (("bos", "bos"), ("eos", "eos"), ("pad", "padding"))
    }
    return {
        "architectures": [architecture.class_name],
        "model_type": architecture.model_type,
        "vocab_size": shapes["token_embd.weight"][0],
        "hidden_size": width,
        "num_hidden_layers": hyper("block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": hyper("attention.head_count_kv", heads),
        "head_dim": head_dim,
        "intermediate_size": hyper("feed_forward_length"),
        "max_position_embeddings": hyper("context_length"),
        "rms_norm_eps": _shortest(hyper("attention.layer_norm_rms_epsilon")),
        "rope_theta": _shortest(hyper("rope.freq_base", 10_000.0)),
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "attention_dropout": 0.0,
        "initializer_range": 0.02,
        "tie_word_embeddings": "output.weight" not in shapes,
        "dtype": "float32",
        **{name: index for name, index in ids.items() if index is not None},
    }


def _shortest(value: float) -> float:
    """The shortest decimal of a float32: 1e-5 is stored as 9.999999747378752e-06."""
    return float(str(np.float32(value)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Tensor:
    """One tensor of the folder, made when it is asked for."""

    name: str
    shape: tuple[int, ...]
    values: Callable[[], _Matrix]


def _renamed(tensors: Iterable[Any], config: Mapping[str, Any], architecture: _Architecture) -> list[_Tensor]:
    """What model.safetensors holds, checked against the config before anything is dequantised."""
    expected = _expected(config, architecture)
    by_name = {tensor.name: tensor for tensor in tensors}
    missing, unknown = sorted(expected.keys() - by_name.keys()), sorted(by_name.keys() - expected.keys())
    if missing or unknown:
        raise ValueError(
            f"the file must hold exactly the {len(expected)} tensors of a {architecture.model_type} model with "
            f"{config['num_hidden_layers']} layers, got missing: {', '.join(missing) or 'none'}; unknown: "
            f"{', '.join(unknown) or 'none'}. Use the model's Hugging Face folder instead of the GGUF file."
        )
    renamed = []
    for source, (name, shape, heads) in expected.items():
        found = tuple(int(size) for size in reversed(by_name[source].shape))
        if found != shape:
            raise ValueError(
                f"{source} must have shape {shape}, which the metadata implies, got {found}. The file is damaged."
            )
        renamed.append(_Tensor(name=name, shape=shape, values=_values(by_name[source], shape, heads)))
    return renamed


def _expected(
    config: Mapping[str, Any], architecture: _Architecture
) -> dict[str, tuple[str, tuple[int, ...], int | None]]:
    """The file's name of each tensor to its new name, its shape, and the heads to un-permute, if any."""
    vocab_size, width, mlp_width = config["vocab_size"], config["hidden_size"], config["intermediate_size"]
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    query_width, kv_width = heads * config["head_dim"], kv_heads * config["head_dim"]
    shapes = {
        "attn_norm": (width,),
        "attn_q": (query_width, width),
        "attn_k": (kv_width, width),
        "attn_v": (kv_width, width),
        "attn_output": (width, query_width),
        "ffn_norm": (width,),
        "ffn_gate": (mlp_width, width),
        "ffn_up": (mlp_width, width),
        "ffn_down": (width, mlp_width),
    }
    permuted = {"attn_q": heads, "attn_k": kv_heads} if architecture.interleaved else {}
    expected = {
        "token_embd.weight": ("model.embed_tokens.weight", (vocab_size, width), None),
        "output_norm.weight": ("model.norm.weight", (width,), None),
    }
    if not config["tie_word_embeddings"]:
        expected["output.weight"] = ("lm_head.weight", (vocab_size, width), None)
    for layer in range(config["num_hidden_layers"]):
        for theirs, ours in architecture.block.items():
            name = f"model.layers.{layer}.{ours}.weight"
            expected[f"blk.{layer}.{theirs}.weight"] = (name, shapes[theirs], permuted.get(theirs))
    return expected


def _values(tensor: Any, shape: tuple[int, ...], heads: int | None) -> Callable[[], _Matrix]:
    def values() -> _Matrix:
        import gguf

        dense = np.asarray(gguf.dequantize(tensor.data, tensor.tensor_type), dtype="<f4").reshape(shape)
        return dense if heads is None else _half_split(dense, heads)

    return values


def _half_split(rows: Float[np.ndarray, "rows d"], heads: int) -> Float[np.ndarray, "rows d"]:
    """Undo the permutation for interleaved rotary pairs: row 2j of a head goes to j, 2j + 1 to h/2 + j.

    Forgetting it is not loud: the model still writes text, a third of a nat a token worse.
    """
    return rows.reshape(heads, -1, 2, rows.shape[1]).swapaxes(1, 2).reshape(rows.shape)


def _write_safetensors(path: Path, tensors: list[_Tensor]) -> None:
    """Write the safetensors format tensor by tensor; the library's writer wants them all at once."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for tensor in tensors:
        start, end = end, end + 4 * int(np.prod(tensor.shape))
        header[tensor.name] = {"dtype": "F32", "shape": tensor.shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # the data starts at a multiple of 8
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for tensor in tensors:
            file.write(np.ascontiguousarray(tensor.values()).data)


def _source(path: Path, digest: str, fields: Mapping[str, Any], tensors: Iterable[Any]) -> dict[str, Any]:
    kinds = {tensor.name: tensor.tensor_type.name for tensor in tensors}
    return {
        "file": path.name,
        "sha256": digest,
        "name": fields.get("general.name"),
        "license": fields.get("general.license"),
        "architecture": fields["general.architecture"],
        "quantization": dict(sorted(collections.Counter(kinds.values()).items())),
        "embedding_quantization": kinds["token_embd.weight"],
        "dequantized_to": "float32",
    }


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n")
