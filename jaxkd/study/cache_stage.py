"""Run a frozen model once over a split and store its outputs: the `Cache` stage."""

import dataclasses
import functools
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import jax
import numpy as np
from jaxtyping import Array, Float

from jaxkd.data.preferences.text import PreferenceText
from jaxkd.data.text.chat import Tokenized
from jaxkd.data.text.packed_text import PackedText
from jaxkd.distillation import answer_log_probs, forward
from jaxkd.models.checkpoints.pretrained import Pretrained
from jaxkd.models.transformer.architecture import DecoderConfig
from jaxkd.records import PreferenceBatch, TokenBatch
from jaxkd.runtime import hidden_cache
from jaxkd.runtime.hidden_cache import HiddenCacheWriter, StoredDtype
from jaxkd.runtime.progress import progress
from jaxkd.sharding import mesh as meshes
from jaxkd.training import stage_folder
from jaxkd.training.stage import Stage, refers_to_stage, resolve
from jaxkd.typing import Params, Split

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_log = logging.getLogger(__name__)

FLUSH_EVERY = 8
"""Number of batches between two points from which an interrupted pass can resume."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cache(Stage):
    """Cache final hidden states of `model` at each response token of a split, or log-probabilities for answer pairs."""

    model: Pretrained
    """Frozen model whose outputs are stored."""
    data: PackedText | PreferenceText
    """Text that the model reads, the same as that of the training run that uses the cache."""
    split: Split = "train"
    """Split of the data that is cached."""
    dtype: StoredDtype = "float32"
    """Dtype in storage; bfloat16 halves the size and rounds to 8 bits of mantissa."""
    mesh: meshes.MeshShape = dataclasses.field(default_factory=meshes.MeshShape)
    """Number of devices along each axis of the mesh.  Default: rows are split over all devices."""

    def validate(self) -> None:
        self.data.check_fits(self.model.config())
        meshes.check_rows(self.mesh, self.data.rows)
        if jax.process_count() > 1:
            raise ValueError("a Cache stage must run in one process. Fill the cache first, then start the others.")

    def provenance(self) -> str:
        return f"model: {self.model.provenance()}"

    def disk_bytes(self, folder: Path) -> int:
        # A cache that was begun has all of its disk.
        if (folder / hidden_cache.MANIFEST).exists() or refers_to_stage(self.data):
            return 0
        examples = _examples(self.data, self.split, self.model.tokenizer())
        return hidden_cache.disk_bytes(_sizes(examples), width=self._width(), dtype=self.dtype)

    def _width(self) -> int:
        return 1 if isinstance(self.data, PreferenceText) else self.model.config().width

    def run(self, folder: Path, *, seed: int, stages: Mapping[str, Path]) -> None:
        del seed
        with stage_folder.claimed(folder, self, work=(hidden_cache.PROGRESS,)):
            self._run(folder, stages)

    def _run(self, folder: Path, stages: Mapping[str, Path]) -> None:
        cache = resolve(self, stages)
        config, tokenizer = cache.model.config(), cache.model.tokenizer()
        examples = _examples(cache.data, cache.split, tokenizer)
        pairs = isinstance(cache.data, PreferenceText)
        writer = HiddenCacheWriter(
            folder,
            cache.data.identity(cache.split, cache.model, tokenizer),
            sizes=_sizes(examples),
            width=cache._width(),
            dtype=cache.dtype,
        )
        if writer.complete:
            _log.info("%s is finished: nothing to do", folder)
            return
        batches = [
            batch.answers if isinstance(batch, PreferenceBatch) else batch
            for batch in cache.data.each_once(cache.split, tokenizer)
        ]
        mesh = meshes.make(cache.mesh)
        with jax.set_mesh(mesh), progress(len(batches), cache.name, start=writer.batches_done) as bar:
            params = cache.model.load_sharded()
            values = jax.jit(functools.partial(_log_probs if pairs else _hiddens, config))
            for number, batch in enumerate(batches[writer.batches_done :], start=writer.batches_done + 1):
                writer.write(
                    np.asarray(batch.example_ids), np.asarray(values(params, meshes.global_batch(batch, mesh)))
                )
                if number % FLUSH_EVERY == 0:
                    writer.flush()
                bar.update(number, count=int(np.sum(batch.segment_ids > 0)))
        writer.finish()


def _examples(data: PackedText | PreferenceText, split: Split, tokenizer: "PreTrainedTokenizerBase") -> list[Tokenized]:
    """Return the tokenized examples by their index."""
    if isinstance(data, PreferenceText):
        return [answer for pair in data.tokenized(split, tokenizer) for answer in pair.answers]
    return data.tokenized(split, tokenizer)


def _sizes(examples: list[Tokenized]) -> list[int]:
    """Return the number of target positions of each example."""
    return [len(example.tokens) - example.prompt_length for example in examples]


def _hiddens(config: DecoderConfig, params: Params, batch: TokenBatch) -> Float[Array, "b k d"]:
    return forward.hiddens(config, params, batch).values


def _log_probs(config: DecoderConfig, params: Params, batch: TokenBatch) -> Float[Array, "b k 1"]:
    return answer_log_probs.of_frozen(config, params, batch)[..., None]
