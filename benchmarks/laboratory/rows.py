"""Models, text and rows of the laboratory's studies, `configs/laboratory_*.py`."""

import dataclasses
from collections.abc import Mapping
from typing import Literal

from benchmarks.laboratory.models import FUNCTIONS
from benchmarks.laboratory.trials import Trial, chosen
from jaxkd.data import Jsonl, PackedText, PairedText, StandardLibrary
from jaxkd.distillation.recipe import Distillation
from jaxkd.evals import AlignedTeacher, BitsPerByte, Generations, ReferenceKL, RougeL
from jaxkd.models import Pretrained
from jaxkd.recipes.alm import ALM
from jaxkd.recipes.dskd import DSKD
from jaxkd.recipes.dskd_cross_attention import DSKDCrossAttention
from jaxkd.recipes.dskdv2 import DSKDv2
from jaxkd.recipes.dskdv2_eta import DSKDv2ETA
from jaxkd.recipes.gold import GOLD
from jaxkd.recipes.logit_kd import LogitKD
from jaxkd.recipes.mined import MinED
from jaxkd.recipes.on_policy import OnPolicy
from jaxkd.recipes.sft import SFT
from jaxkd.recipes.uld import ULD
from jaxkd.sharding import MeshShape
from jaxkd.study import Cache, Evaluate, Generate
from jaxkd.training import Evaluator, Group, Optimizer, Recipe, Stage, Train
from jaxkd.typing import Split

ONE_VOCABULARY: Mapping[str, type[Distillation]] = {"kd": LogitKD, "dskd": DSKD, "dskdv2": DSKDv2}
"""Methods for a student with the teacher's tokens."""

TWO_VOCABULARIES: Mapping[str, type[Distillation]] = {
    "uld": ULD,
    "mined": MinED,
    "alm": ALM,
    "gold": GOLD,
    "cma": DSKDCrossAttention,
    "eta": DSKDv2ETA,
}
"""Methods for a student with tokens of its own."""

_PROJECTED = (DSKD, DSKDv2, DSKDCrossAttention, DSKDv2ETA)
_ONE_DEVICE = MeshShape(data=1)
_FOLDER = "runs/laboratory"
_PATIENCE = 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class Laboratory:
    """One student and one text, whole or in miniature."""

    full: bool
    student: Literal["narrow", "random", "shared_head", "byte_level", "sentencepiece"] = "narrow"
    """Folder of the student, as `benchmarks.laboratory.models` writes it."""
    answer: Literal["body", "docstring"] = "body"
    """Part of a function that is written: code or prose."""

    @property
    def own_tokens(self) -> bool:
        """Whether the student has other tokens than the teacher."""
        return self.student in ("byte_level", "sentencepiece")

    @property
    def teacher_model(self) -> Pretrained:
        return Pretrained(path=f"{_FOLDER}/teacher")

    @property
    def student_model(self) -> Pretrained:
        return Pretrained(path=f"{_FOLDER}/{self.student}")

    @property
    def source(self) -> StandardLibrary:
        return dataclasses.replace(FUNCTIONS, answer=self.answer)

    @property
    def teacher_text(self) -> PackedText:
        """Text as the teacher reads it: 512 targets a batch at most."""
        return PackedText(source=self.source, rows=2, length=512, targets=256, limit=None if self.full else 8)

    @property
    def student_text(self) -> PackedText:
        """Text as the student reads it; 4,096 tokens of its own are shorter, so that rows need more of them."""
        if not self.own_tokens:
            return self.teacher_text
        return dataclasses.replace(self.teacher_text, length=640, targets=320, template="plain")

    @property
    def paired_text(self) -> PairedText:
        return PairedText(student=self.student_text, teacher=self.teacher_text)

    def teacher_stages(self) -> tuple[Stage, ...]:
        """Return the stages that run the teacher once over both sets and measure it."""
        model, data = self.teacher_model, self.teacher_text
        return (
            Cache(name="teacher_cache", model=model, data=data, mesh=_ONE_DEVICE),
            Cache(name="test_cache", model=model, data=data, split="test", mesh=_ONE_DEVICE),
            Evaluate(
                name="teacher",
                label="teacher",
                model=model,
                evaluators=(_bits_per_byte(data, "test"),),
                mesh=_ONE_DEVICE,
            ),
        )

    def teacher_answers(self) -> Generate:
        """Return the stage that writes what `seqkd` learns, also where the teacher does not come to an end."""
        return Generate(
            name="teacher_answers",
            model=self.teacher_model,
            data=dataclasses.replace(self.teacher_text, rows=16 if self.full else 2),
            max_new_tokens=192 if self.full else 4,
            unfinished="keep",
            mesh=_ONE_DEVICE,
        )

    def untouched(self) -> Evaluate:
        """Return the stage that measures the student before it is trained."""
        return Evaluate(
            name="untouched",
            label="untouched",
            model=self.student_model,
            evaluators=self.evaluators(),
            mesh=_ONE_DEVICE,
        )

    def recipe(self, method: str, trial: Trial) -> Recipe:
        """Return a method with the weight of a trial.

        Raises:
            KeyError: a method that the student's tokens do not allow.
        """
        if method == "sft":
            return SFT(student=self.student_model, data=self.student_text)
        if method == "seqkd":
            answers = Jsonl(train="stage:teacher_answers")
            return SFT(student=self.student_model, data=dataclasses.replace(self.student_text, source=answers))
        return self.distillation(method, trial)

    def distillation(self, method: str, trial: Trial) -> Distillation:
        """Return a method that has a teacher, with the weight of a trial.

        Raises:
            KeyError: a method that the student's tokens do not allow.
        """
        methods = TWO_VOCABULARIES if self.own_tokens else ONE_VOCABULARY
        return methods[method](
            student=self.student_model,
            teacher=self.teacher_model,
            data=self.paired_text if self.own_tokens else self.teacher_text,
            teacher_cache="stage:teacher_cache",
            kd_rate=trial.kd_rate,
        )

    def method(self, method: str, *, name: str | None = None, steps: int | None = None, **changes: object) -> Train:
        """Return the row of a method at the trial that was chosen for it.

        Args:
            method: name of the method.
            name: name of the row, if it is not the method's.
            steps: largest number of steps, if it is not the trial's.
            **changes: fields of the recipe that differ from the method's.
        """
        trial = chosen(method)
        if steps is not None:
            trial = dataclasses.replace(trial, steps=steps)
        recipe = dataclasses.replace(self.recipe(method, trial), **changes)
        return self.row(name or method, recipe, trial, evaluators=self.evaluators())

    def row(self, name: str, recipe: Recipe, trial: Trial, *, evaluators: tuple[Evaluator, ...] = ()) -> Train:
        """Return a row, whose best step is measured; all but a short one end where validation no longer improves."""
        steps, every = (trial.steps, 50) if self.full else (2, 1)
        distillation = recipe.recipe if isinstance(recipe, OnPolicy) else recipe
        projectors = (Group(name="projectors", learning_rate=trial.projector_rate),)
        return Train(
            name=name,
            label=name,
            recipe=recipe,
            steps=steps,
            optimizer=Optimizer(
                learning_rate=trial.learning_rate,
                b2=0.95,
                warmup_steps=steps // 10,
                weight_decay=0.01,
                groups=projectors if isinstance(distillation, _PROJECTED) else (),
            ),
            mesh=_ONE_DEVICE,
            evaluate_every=every,
            save_every=every,
            keep_best="bits_per_byte",
            patience=_PATIENCE if steps > _PATIENCE * every else None,
            validation=(_bits_per_byte(self.student_text, "validation"),),
            evaluators=evaluators,
        )

    def evaluators(self) -> tuple[Evaluator, ...]:
        """Return what is measured of a finished student."""
        count = 80 if self.full else 2
        asked = dataclasses.replace(self.student_text, rows=count, limit=None if self.full else 4)
        written = Generations(
            student=self.student_model,
            teacher=None,
            data=asked,
            count=count,
            max_new_tokens=192 if self.full else 4,
            samples_per_prompt=5 if self.full else 1,
            metrics=(RougeL(tokens="stem"),),
        )
        return (_bits_per_byte(self.student_text, "test"), self._against_teacher(), written)

    def _against_teacher(self) -> Evaluator:
        if self.own_tokens:
            return AlignedTeacher(
                teacher=self.teacher_model,
                student=self.student_model,
                data=self.paired_text,
                split="test",
                teacher_cache="stage:test_cache",
            )
        return ReferenceKL(
            reference=self.teacher_model, data=self.teacher_text, split="test", reference_cache="stage:test_cache"
        )


def _bits_per_byte(text: PackedText, split: Split) -> BitsPerByte:
    return BitsPerByte(
        source=text.source,
        split=split,
        limit=None if text.limit is None else 4,
        rows=text.rows,
        length=text.length,
        targets=text.targets,
        template=text.template,
    )
