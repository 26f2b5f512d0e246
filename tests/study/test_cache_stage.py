"""The Cache stage: what it stores is what a live teacher would give; an interrupted pass goes on."""

import dataclasses
import json
import shutil
import types

import jax
import numpy as np
import pytest

from jaxkd import cut
from jaxkd.data import Jsonl
from jaxkd.data.text.packing import evaluation_batches
from jaxkd.distillation import forward
from jaxkd.runtime.hidden_cache import HiddenCache
from jaxkd.sharding import MeshShape
from jaxkd.study import Study, cache_stage, run_study


def test_the_cache_holds_the_live_hidden_states(tiny, tmp_path):
    tiny.cache(mesh=MeshShape()).run(tmp_path, seed=0, stages={})
    tokenizer = tiny.teacher.tokenizer()
    cache = HiddenCache(tmp_path, tiny.text.identity("train", tiny.teacher, tokenizer))
    tokenized = tiny.text.tokenized("train", tokenizer)
    params = forward.shard_params(tiny.teacher.config(), tiny.teacher.load())
    live = jax.jit(lambda batch: forward.hiddens(tiny.teacher.config(), params, batch).values)
    for batch in evaluation_batches(tokenized, rows=8, length=96, targets=40, pack=False):
        values = np.asarray(live(batch))
        for row, ids in enumerate(batch.example_ids):
            if (index := ids[0]) >= 0:
                np.testing.assert_allclose(cache(index), values[row][ids >= 0], rtol=2e-4, atol=2e-5)


def test_a_pruned_teacher_does_not_read_the_cache_of_the_whole_one(tiny, tmp_path):
    folder, cached = str(tmp_path / "pruned"), str(tmp_path / "cache")
    cut.main(["--model", tiny.teacher.path, "--to", folder, "--data", tiny.text.source.train, "--tokens", "used"])
    tiny.cache(mesh=MeshShape(data=1)).run(tmp_path / "cache", seed=0, stages={})
    pruned = dataclasses.replace(tiny.teacher, path=folder)
    with pytest.raises(ValueError, match="must be made from the same .* but differs in model, tokenizer"):
        tiny.text.opened(cached, "train", pruned, pruned.tokenizer())


def test_an_interrupted_pass_goes_on(tiny, tmp_path, monkeypatch):
    small = tiny.cache(data=dataclasses.replace(tiny.text, rows=1), mesh=MeshShape(data=1))
    monkeypatch.setattr(cache_stage, "FLUSH_EVERY", 1)
    write = cache_stage.HiddenCacheWriter.write

    def write_two(self, *args):
        if self.batches_done == 2:
            raise KeyboardInterrupt
        write(self, *args)

    with monkeypatch.context() as patched:
        patched.setattr(cache_stage.HiddenCacheWriter, "write", write_two)
        with pytest.raises(KeyboardInterrupt):
            small.run(tmp_path / "parts", seed=0, stages={})
    assert json.loads((tmp_path / "parts/progress.json").read_text())["batches_done"] == 2
    small.run(tmp_path / "parts", seed=0, stages={})
    small.run(tmp_path / "whole", seed=0, stages={})
    stored = [np.load(tmp_path / name / "hidden.npy") for name in ("parts", "whole")]
    np.testing.assert_array_equal(*stored)


def test_a_study_asks_for_the_disk_of_a_cache_until_it_is_begun(tiny, tmp_path, monkeypatch):
    stage = tiny.cache(dtype="bfloat16")
    study = Study(name="t", title="", description="", stages=(stage,))
    rows = sum(len(one.tokens) - one.prompt_length for one in tiny.text.tokenized("train", tiny.teacher.tokenizer()))
    assert stage.disk_bytes(tmp_path / "teacher_cache") == rows * 64 * 2
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "disk_usage", lambda _: types.SimpleNamespace(free=1000))
        with pytest.raises(
            OSError, match=r"the disk must have .* GB free for the checkpoints and caches, got 1e-06 GB"
        ):
            run_study(study, tmp_path)
    assert not (tmp_path / "teacher_cache").exists()
    run_study(study, tmp_path)
    assert stage.disk_bytes(tmp_path / "teacher_cache") == 0
    assert tiny.cache(data=dataclasses.replace(tiny.text, source=Jsonl(train="stage:a"))).disk_bytes(tmp_path) == 0


def test_damage_is_noticed_by_the_run_that_reads_the_cache(tiny, tmp_path):
    tiny.cache().run(tmp_path / "cache", seed=0, stages={})
    rows = np.load(tmp_path / "cache/hidden.npy", mmap_mode="r+")
    rows[len(rows) // 2 :] = 0
    rows.flush()
    recipe = tiny.logit_kd(teacher_cache="stage:teacher_cache")
    train = tiny.train(recipe, steps=2, validation=(), evaluators=(), mesh=MeshShape(data=1))
    with pytest.raises(ValueError, match=rf"{tmp_path / 'cache'}/hidden\.npy must be as it was written"):
        train.run(tmp_path / "kd", seed=0, stages={"teacher_cache": tmp_path / "cache"})


def test_a_finished_cache_is_left_alone(tiny, tmp_path):
    tiny.cache().run(tmp_path, seed=0, stages={})
    before = (tmp_path / "hidden.npy").stat().st_mtime_ns
    tiny.cache().run(tmp_path, seed=0, stages={})
    assert (tmp_path / "hidden.npy").stat().st_mtime_ns == before
