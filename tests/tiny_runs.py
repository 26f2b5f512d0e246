"""Whole runs in miniature: a tiny model in a folder, a little text, and the studies that use them."""

import contextlib
import dataclasses
import functools
import json
import unittest.mock
from pathlib import Path
from typing import TypeVar

import jax
import numpy as np
import pytest

from jaxkd.data import Jsonl, PackedText, PairedText
from jaxkd.evals import BitsPerByte, Samples
from jaxkd.models import Pretrained
from jaxkd.models.checkpoints import huggingface
from jaxkd.models.checkpoints.gguf import convert
from jaxkd.models.transformer import decoder
from jaxkd.recipes.dskd import DSKD
from jaxkd.recipes.dskdv2 import DSKDv2
from jaxkd.recipes.logit_kd import LogitKD
from jaxkd.recipes.sft import SFT
from jaxkd.records import TokenBatch
from jaxkd.sharding import MeshShape, placement
from jaxkd.sharding.mesh import make, on_ambient
from jaxkd.study import Cache, Evaluate
from jaxkd.training import Optimizer, Train
from tests.assets import write_tiny_gguf
from tests.tokenizers.tokenizer_families import sentence_piece_bpe

Method = TypeVar("Method")

ROWS, LENGTH, TARGETS = 8, 96, 40

TWO_DEVICES = MeshShape(data=2)
"""Mesh of a run that is not about meshes.  Now and then, on a busy machine, XLA's CPU devices wait for one another for
ever (`rendezvous.cc`: 7 of 8 arrived), the more likely the more devices and steps there are; `test_mesh.py` and
`test_eight_devices_equal_one` of the recipes take all eight."""


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


def loss_and_gradients(recipe, batch, counts=None, variables=None):
    """Loss of one batch, its output, the gradients to (trained, frozen) parameters, all on the host, and the variables.

    A recipe is traced and compiled once in a file, however many batches of one shape it sees.
    """
    variables = initial(recipe) if variables is None else variables
    (value, output), gradients = _of_batch(_differentiated(recipe), recipe, variables, batch, counts)
    return value, output, gradients, variables


def loss_alone(recipe, batch):
    """Loss, its output and the variables: `loss_and_gradients` in half of the time."""
    variables = initial(recipe)
    value, output = _of_batch(_compiled(recipe), recipe, variables, batch)
    return value, output, variables


def loss_and_gradient_on(shape, recipe, batch, variables=None):
    """Loss, and gradient to the trained parameters, on a mesh of this shape, from the same variables."""
    variables = initial(recipe) if variables is None else variables
    with jax.set_mesh(make(shape)):
        variables, batch = placed(variables, recipe), on_ambient(jax.device_get(batch))
        (value, _), (gradient, _) = _of_batch(_differentiated(recipe), recipe, variables, batch)
    return value, gradient


def placed(variables, recipe):
    """The variables of a recipe, moved onto the ambient mesh."""
    trees = {name: jax.device_get(getattr(variables, name)) for name in ("params", "frozen")}
    places = {name: jax.tree.map(lambda leaf: leaf.sharding, getattr(recipe.abstract(), name)) for name in trees}
    return variables.replace(**jax.device_put(trees, places))


@functools.lru_cache(maxsize=16)
def initial(recipe):
    """A recipe's variables at step 0, without a mesh."""
    with weights_by_numpy():
        return recipe.init(jax.random.key(0))


@contextlib.contextmanager
def weights_by_numpy():
    """Without a mesh, weights are put together by NumPy: `placement` compiles a program for each shape."""

    def whole(target, source):
        return jax.device_put(np.array(source()[()], target.dtype))

    def stacked(target, sources):
        return jax.device_put(np.stack([np.array(source()[()], target.dtype) for source in sources]))

    with unittest.mock.patch.multiple(placement, sharded=whole, stacked=stacked):
        yield


def _of_batch(compiled, recipe, variables, batch, counts=None):
    batch = jax.device_put(batch)
    counts = recipe.counts(batch) if counts is None else counts
    return jax.device_get(compiled(variables.params, variables.frozen, variables, batch, counts))


@functools.lru_cache(maxsize=16)
def _differentiated(recipe):
    return jax.jit(jax.value_and_grad(_loss(recipe), (0, 1), has_aux=True, allow_int=True))


@functools.lru_cache(maxsize=16)
def _compiled(recipe):
    return jax.jit(_loss(recipe))


_hidden_states = jax.jit(decoder.hidden_states, static_argnames=("config", "remat", "backend"))
"""Traced once for an architecture and its shapes, however many recipes compare what it returns."""


def _loss(recipe):
    def loss(params, frozen, variables, batch, counts):
        given = variables.replace(params=params, frozen=frozen)
        with unittest.mock.patch.object(decoder, "hidden_states", _hidden_states):
            given = given.replace(derived=jax.lax.stop_gradient(recipe.prepare(given)))
            output = recipe.loss(given, batch, counts, jax.random.key(1))
        return output.loss, output

    return loss


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
            params = jax.device_get(jax.jit(decoder.init, static_argnums=0)(config, jax.random.key(5)))
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
            mesh=TWO_DEVICES,
            validation=(self.bits_per_byte("validation"),),
            evaluators=(self.bits_per_byte(), Samples(source=self.text.source, count=1, max_new_tokens=3)),
        )
        return dataclasses.replace(train, **changes)

    def cache(self, **changes) -> Cache:
        stage = Cache(name="teacher_cache", model=self.teacher, data=self.text, mesh=MeshShape(data=1))
        return dataclasses.replace(stage, **changes)

    def evaluate(self, **changes) -> Evaluate:
        fields = {"name": "teacher", "label": "teacher", "model": self.teacher, "evaluators": (self.bits_per_byte(),)}
        return Evaluate(**({"mesh": MeshShape(data=1)} | fields | changes))


@pytest.fixture(scope="session")
def tiny(tiny_folder, tiny_text) -> Tiny:
    return Tiny(tiny_folder, tiny_text)
