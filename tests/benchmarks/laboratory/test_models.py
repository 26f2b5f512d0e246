"""The laboratory's models, from the real teacher."""

import json

import numpy as np
import pytest

from benchmarks.laboratory import models
from jaxkd.models import Pretrained


@pytest.mark.slow
def test_teacher_and_students_fit_together(smollm2_folder, tmp_path):
    models.write_models(tmp_path, model=str(smollm2_folder))
    written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")}
    models.write_models(tmp_path, model=str(smollm2_folder))  # what is there is left as it is
    assert written == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")}
    teacher, narrow, random, shared, *own_tokens = (
        Pretrained(path=str(tmp_path / name))
        for name in ("teacher", "narrow", "random", "shared_head", "byte_level", "sentencepiece")
    )
    assert narrow.tokenizer().get_vocab() == random.tokenizer().get_vocab() == teacher.tokenizer().get_vocab()
    assert narrow.config() == random.config()
    assert (narrow.load()["embedding"] != random.load()["embedding"]).any()
    np.testing.assert_array_equal(shared.load()["embedding"], teacher.load()["embedding"])
    for own in own_tokens:
        assert own.config().vocab_size == models.VOCABULARY_SIZE
        assert own.config().width == narrow.config().width
    rows = map(json.loads, (tmp_path / "learnt.jsonl").read_text().splitlines())
    assert [row["messages"][-1]["content"] for row in rows] == [
        example.response for example in models.FUNCTIONS.examples("train")
    ]
