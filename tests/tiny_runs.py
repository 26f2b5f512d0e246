"""Whole runs in miniature: a tiny model in a folder, a little text, and the studies that use them."""

import dataclasses
import functools
import json
from pathlib import Path
from typing import TypeVar

import jax
import jax.numpy as jnp
import pytest

from jaxkd.cache_teacher import Cache
from jaxkd.data.jsonl import Jsonl
from jaxkd.data.pairs import PairedText
from jaxkd.data.text import PackedText
from jaxkd.evals.bits_per_byte import BitsPerByte
from jaxkd.evals.samples import Samples
from jaxkd.evaluate import Evaluate
from jaxkd.loop import Train
from jaxkd.models import decoder, huggingface
from jaxkd.models.gguf import convert
from jaxkd.models.pretrained import Pretrained
from jaxkd.optim import Optimizer
from jaxkd.recipes.dskd import DSKD
from jaxkd.recipes.dskdv2 import DSKDv2
from jaxkd.recipes.logit_kd import LogitKD
from jaxkd.recipes.sft import SFT
from jaxkd.records import TokenBatch
from tests.assets import write_tiny_gguf
from tests.data.tokenizer_families import sentence_piece_bpe

Method = TypeVar("Method")

ROWS, LENGTH, TARGETS = 8, 96, 40


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory) -> Path:
    """A llama of two layers with a tokenizer, as a Hugging Face folder."""
    folder = tmp_path_factory.mktemp("tiny")
    return convert(write_tiny_gguf(folder / "tiny.gguf"), folder / "model")


@pytest.fixture(scope="session")
def tiny_text(tmp_path_factory) -> PackedText:
    """Twenty questions and answers, packed into rows of 96 tokens."""
    path = tmp_path_factory.mktemp("text") / "rows.jsonl"
    rows = [{"prompt": f"the {n}", "response": f"the he {n * 7} the"} for n in range(20)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = Jsonl(train=str(path), validation=str(path), test=str(path))
    return PackedText(source=source, rows=ROWS, length=LENGTH, targets=TARGETS)


@pytest.fixture(scope="session")
def tiny_batch(tiny_text, tiny_folder) -> TokenBatch:
    """The first training batch, as NumPy arrays."""
    return next(iter(tiny_text.training_stream("train", Pretrained(path=str(tiny_folder)).tokenizer(), 0)))


def loss_and_gradients(recipe, batch, counts=None):
    """Loss, its output, the gradients to (trained, frozen) parameters, and the variables, of one batch.

    A recipe is traced and compiled once in a file, however many batches of one shape it sees.
    """
    variables, batch = _initial(recipe), jax.tree.map(jnp.asarray, batch)
    counts = recipe.counts(batch) if counts is None else counts
    (value, output), gradients = _differentiated(recipe)(variables.params, variables.frozen, variables, batch, counts)
    return value, output, gradients, variables


@functools.lru_cache(maxsize=16)
def _initial(recipe):
    return recipe.init(jax.random.key(0))


@functools.lru_cache(maxsize=16)
def _differentiated(recipe):
    def loss(params, frozen, variables, batch, counts):
        given = variables.replace(params=params, frozen=frozen)
        given = given.replace(derived=jax.lax.stop_gradient(recipe.prepare(given)))
        output = recipe.loss(given, batch, counts, jax.random.key(1))
        return output.loss, output

    return jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True, allow_int=True))


@dataclasses.dataclass(frozen=True)
class Tiny:
    """Stages over the tiny model and the tiny text."""

    folder: Path
    text: PackedText

    @property
    def teacher(self) -> Pretrained:
        return Pretrained(path=str(self.folder))

    @property
    def student(self) -> Pretrained:
        return Pretrained(path=str(self.folder), layers=(1,))

    @property
    def narrow(self) -> Pretrained:
        """A student with a head of its own: half as wide, with random weights and the teacher's tokenizer."""
        return self._random_student("narrow", self.teacher.tokenizer())

    @property
    def foreign(self) -> Pretrained:
        """A student whose tokenizer is of another family: SentencePiece, where the teacher's is byte-level."""
        return self._random_student("foreign", sentence_piece_bpe())

    def _random_student(self, name, tokenizer) -> Pretrained:
        folder = self.folder.parent / name
        if not folder.exists():
            teacher = self.teacher.config()
            config = dataclasses.replace(
                teacher, width=32, mlp_width=48, tied=False, vocab_size=max(tokenizer.get_vocab().values()) + 1
            )
            params = decoder.init(config, jax.random.key(5))
            params = jax.tree.map(lambda leaf: 5 * leaf if leaf.ndim > 1 else leaf, params)
            huggingface.save(folder, config, params, tokenizer=tokenizer)
        return Pretrained(path=str(folder))

    @property
    def paired(self) -> PairedText:
        """The text as the foreign student and the teacher read it."""
        student = dataclasses.replace(self.text, length=112, targets=56, template="plain")
        return PairedText(student=student, teacher=self.text)

    def bits_per_byte(self, split="test") -> BitsPerByte:
        return BitsPerByte(source=self.text.source, split=split, rows=ROWS, length=LENGTH, targets=TARGETS)

    def sft(self, **changes) -> SFT:
        return dataclasses.replace(SFT(student=self.student, data=self.text), **changes)

    def logit_kd(self, **changes) -> LogitKD:
        recipe = LogitKD(student=self.student, teacher=self.teacher, data=self.text)
        return dataclasses.replace(recipe, **changes)

    def dskd(self, **changes) -> DSKD:
        return dataclasses.replace(DSKD(student=self.narrow, teacher=self.teacher, data=self.text), **changes)

    def dskdv2(self, **changes) -> DSKDv2:
        return dataclasses.replace(DSKDv2(student=self.narrow, teacher=self.teacher, data=self.text), **changes)

    def cross(self, method: type[Method], **changes) -> Method:
        """A recipe between the foreign student and the teacher."""
        return method(**{"student": self.foreign, "teacher": self.teacher, "data": self.paired} | changes)

    def train(self, recipe=None, **changes) -> Train:
        train = Train(
            name="kd",
            label="student_distilled",
            recipe=self.logit_kd() if recipe is None else recipe,
            steps=4,
            optimizer=Optimizer(learning_rate=1e-2, warmup_steps=1),
            validation=(self.bits_per_byte("validation"),),
            evaluators=(self.bits_per_byte(), Samples(source=self.text.source, count=1, max_new_tokens=3)),
        )
        return dataclasses.replace(train, **changes)

    def cache(self, **changes) -> Cache:
        return dataclasses.replace(Cache(name="teacher_cache", model=self.teacher, data=self.text), **changes)

    def evaluate(self, **changes) -> Evaluate:
        stage = Evaluate(name="teacher", label="teacher", model=self.teacher, evaluators=(self.bits_per_byte(),))
        return dataclasses.replace(stage, **changes)


@pytest.fixture(scope="session")
def tiny(tiny_folder, tiny_text) -> Tiny:
    return Tiny(tiny_folder, tiny_text)
