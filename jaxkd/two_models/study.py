"""Stages of the commonest study: a student with and without its teacher, beside both checkpoints as they are."""

import dataclasses
from pathlib import Path
from typing import Literal

from jaxkd.data import PackedText
from jaxkd.data.examples import Source
from jaxkd.evals import BitsPerByte, Samples
from jaxkd.models import Pretrained
from jaxkd.models.transformer.lora import LoRA
from jaxkd.recipes.sft import SFT
from jaxkd.study import Evaluate, Study
from jaxkd.study.described.config_file import Constant, config_file
from jaxkd.training import Group, Optimizer, Recipe, Train
from jaxkd.two_models.method import recipe

SMOKE_STEPS = 4
"""Optimizer steps of the study in miniature."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TwoModels:
    """Description of a study in a few fields."""

    name: str
    student: Pretrained
    teacher: Pretrained
    source: Source
    method: str
    """Method of `jaxkd.two_models.method`, not "auto"."""
    student_template: Literal["chat", "plain"]
    teacher_template: Literal["chat", "plain"]
    steps: int
    rows: int
    length: int
    learning_rate: float
    precision: Literal["float32", "bfloat16"]
    lora: LoRA | None
    seeds: tuple[int, ...]

    @property
    def title(self) -> str:
        """Heading made of the last parts of the models' paths."""
        layers = self.student.layers
        student = Path(self.student.path).name + ("" if layers is None else f" ({len(layers)} layers)")
        return f"{student} distilled from {Path(self.teacher.path).name}"

    @property
    def text(self) -> PackedText:
        """Text as the student reads it; three quarters of a row are for answers."""
        return PackedText(
            source=self.source,
            rows=self.rows,
            length=self.length,
            targets=self.length * 3 // 4,
            template=self.student_template,
        )

    @property
    def teacher_text(self) -> PackedText:
        """Text as the teacher reads it."""
        return dataclasses.replace(self.text, template=self.teacher_template)

    def evaluators(self, text: PackedText) -> tuple[BitsPerByte, Samples]:
        """Return the evaluators of a model that reads a text."""
        return (
            BitsPerByte(
                source=self.source,
                rows=text.rows,
                length=text.length,
                targets=text.targets,
                template=text.template,
            ),
            Samples(source=self.source, count=4, max_new_tokens=64, template=text.template),
        )

    @property
    def validation(self) -> BitsPerByte:
        """Evaluator that runs during the training."""
        measured, _ = self.evaluators(self.text)
        return dataclasses.replace(measured, split="validation", limit=64)

    def study(self, steps: int | None = None) -> Study:
        """Return the study, with another number of steps if one is given."""
        steps = self.steps if steps is None else steps
        cadence = max(steps // 4, 1)
        ours, theirs = self.evaluators(self.text), self.evaluators(self.teacher_text)

        def train(name: str, label: str, recipe: Recipe, groups: tuple[Group, ...] = ()) -> Train:
            return Train(
                name=name,
                label=label,
                recipe=recipe,
                steps=steps,
                optimizer=Optimizer(learning_rate=self.learning_rate, warmup_steps=steps // 10, groups=groups),
                precision=self.precision,
                evaluate_every=cadence,
                save_every=cadence,
                validation=(self.validation,),
                evaluators=ours,
            )

        taught = recipe(
            self.method,
            student=self.student,
            teacher=self.teacher,
            data=self.text,
            teacher_data=self.teacher_text,
            lora=self.lora,
        )
        # New matrices between the models' spaces learn at a rate of their own.
        projectors = (Group(name="projectors", learning_rate=1e-3),) if self.method.startswith("dskd") else ()
        return Study(
            name=self.name,
            title=self.title,
            description=(
                f"Two students start from the same checkpoint and see the same examples. One learns from the answers "
                f"alone, the other also from the teacher, by {type(taught).__name__}."
            ),
            stages=(
                Evaluate(name="teacher", label="teacher", model=self.teacher, evaluators=theirs),
                Evaluate(name="untouched", label="student_untouched", model=self.student, evaluators=ours),
                train("sft", "student_sft", SFT(student=self.student, data=self.text, lora=self.lora)),
                train("kd", "student_distilled", taught, projectors),
            ),
            seeds=self.seeds,
            comparisons=(("student_distilled", "student_sft"),),
        )

    def config_file(self, command: str) -> str:
        """Return the Python file whose `get_config` returns `study()`, and with size "smoke" a few steps of it.

        Args:
            command: command that asks for the same study.
        """
        text, theirs = self.text, self.teacher_text
        constants = [
            Constant(name="STUDENT", value=self.student),
            Constant(name="TEACHER", value=self.teacher),
            Constant(name="SOURCE", value=self.source),
            Constant(name="DATA", value=text),
            *([Constant(name="TEACHER_DATA", value=theirs)] if theirs != text else []),
            Constant(name="VALIDATION", value=self.validation),
            Constant(name="EVALUATORS", value=self.evaluators(text)),
            *([Constant(name="TEACHER_EVALUATORS", value=self.evaluators(theirs))] if theirs != text else []),
        ]
        return config_file(
            self.study(),
            docstring=f"{self.title}, beside a control without a teacher.",
            command=command,
            constants=constants,
            assignments={
                "steps": f'{self.steps} if size == "full" else {SMOKE_STEPS}',
                "cadence": "max(steps // 4, 1)",
            },
            expressions={
                "steps": "steps",
                "warmup_steps": "steps // 10",
                "evaluate_every": "cadence",
                "save_every": "cadence",
            },
        )
