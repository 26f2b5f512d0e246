"""Run a teacher once over a split and store its hidden states: the `Cache` stage."""

import dataclasses
import json
import logging
from collections.abc import Mapping
from pathlib import Path

import jax
import numpy as np

from jaxkd import config as configs
from jaxkd import forward, stage
from jaxkd import mesh as meshes
from jaxkd.cache import HiddenCacheWriter, StoredDtype
from jaxkd.data.examples import Split
from jaxkd.data.packing import evaluation_batches
from jaxkd.data.text import PackedText
from jaxkd.models.pretrained import Pretrained
from jaxkd.progress import progress

_log = logging.getLogger(__name__)

FLUSH_EVERY = 8
"""Batches between two points that an interrupted pass goes on from."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cache(stage.Stage):
    """Final hidden states of `model` at every response token of a split."""

    model: Pretrained
    data: PackedText
    split: Split = "train"
    dtype: StoredDtype = "float32"
    """As stored; bfloat16 halves the size and rounds to 8 bits of mantissa."""
    mesh: meshes.MeshShape = dataclasses.field(default_factory=meshes.MeshShape)

    def validate(self) -> None:
        self.data.check_fits(self.model.config())
        meshes.check_rows(self.mesh, self.data.rows)
        if jax.process_count() > 1:
            raise ValueError("a Cache stage must run in one process. Fill the cache first, then start the others.")

    def provenance(self) -> str:
        return f"teacher: {self.model.provenance()}"

    def plan(self) -> str:
        return json.dumps(configs.encode(self), indent=1)

    def run(self, folder: Path, *, seed: int, stages: Mapping[str, Path]) -> None:
        del seed
        stage.claim(folder, self)
        cache = stage.resolve(self, stages)
        config, tokenizer = cache.model.config(), cache.model.tokenizer()
        tokenized = cache.data.tokenized(cache.split, tokenizer)
        writer = HiddenCacheWriter(
            folder,
            cache.data.identity(cache.split, cache.model, tokenizer),
            sizes=[len(example.tokens) - example.prompt_length for example in tokenized],
            width=config.width,
            dtype=cache.dtype,
        )
        if writer.complete:
            _log.info("%s is finished: nothing to do", folder)
            return
        batches = list(
            evaluation_batches(tokenized, rows=cache.data.rows, length=cache.data.length, targets=cache.data.targets)
        )
        mesh = meshes.make(cache.mesh)
        with jax.set_mesh(mesh), progress(len(batches), cache.name, start=writer.batches_done) as bar:
            params = cache.model.load_placed()
            values = jax.jit(lambda params, batch: forward.hiddens(config, params, batch).values)
            for number, batch in enumerate(batches[writer.batches_done :], start=writer.batches_done + 1):
                writer.write(batch.example_ids, np.asarray(values(params, meshes.global_batch(batch, mesh))))
                if number % FLUSH_EVERY == 0:
                    writer.flush()
                bar.update(number, tokens=int(np.sum(batch.segment_ids > 0)))
        writer.finish()
