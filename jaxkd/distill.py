"""`python -m jaxkd.distill`: a student learns from a teacher on a file of data, without a config file."""

import dataclasses
import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from jaxkd.data import Jsonl
from jaxkd.models import Pretrained
from jaxkd.models.surgery import evenly_spaced
from jaxkd.models.transformer.lora import LoRA
from jaxkd.study import Study
from jaxkd.study.described.run import StudyOptions, run_described
from jaxkd.two_models.method import PACKED, Method, chosen
from jaxkd.two_models.split import split_file
from jaxkd.two_models.study import TwoModels
from jaxkd.two_models.template import with_chat_template

_log = logging.getLogger(__name__)

PROGRAM = "python -m jaxkd.distill"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command(StudyOptions):
    """Distil a teacher into a student, beside a control without a teacher and both models as they are.

    A model is a packaged model, a GGUF file, a Hugging Face folder or a hub id.  The config file that says the same is
    printed: continue with it and `python -m jaxkd.train --config FILE` where these options do not suffice.  The same
    command again resumes.  Exit status: 0 if all is done, 1 for a mistake, 75 if the run was stopped by SIGTERM or
    Ctrl-C and saved.
    """

    teacher: str
    student: str
    data: Path
    """JSON Lines with `prompt` and `response`, or `messages`, or `instruction` and `output`."""
    validation: Path | None = None
    """Rows for validation; without this and --test, 10 % of --data, chosen by a hash of the prompt."""
    test: Path | None = None
    """Rows for the results; without this and --validation, 10 % of --data, chosen by a hash of the prompt."""
    method: Method = "auto"
    """Method; auto: logit_kd for one vocabulary, dskdv2_eta for two with tokens in common, uld for two without."""
    steps: int = 1000
    """Optimizer steps of each student."""
    rows: int = 8
    """Rows of a batch."""
    length: int = 512
    """Tokens of a row, prompt and answer; three quarters may be the answer's."""
    learning_rate: float = 1e-4
    """Peak learning rate; adapters and students of which layers were removed can take 5e-4."""
    layers: tuple[int, ...] | None = None
    """Layers of the student to keep; a single number N keeps N of them, evenly spaced."""
    lora: int | None = None
    """Rank of adapters to train on queries and values; None trains the whole student."""
    bf16: bool = False
    """Compute in bfloat16, with parameters and optimizer in float32."""
    template: str | None = None
    """Rendering of prompts: chat, plain, or a Jinja file; by default chat for a model that has a chat template."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Describe the study, print its config file, run it and print its table."""
    run_described(Command, _described, program=PROGRAM, arguments=arguments)


def _described(command: Command, typed: str) -> tuple[Study, str]:
    models = two_models(command)
    return models.study(), models.config_file(typed)


def two_models(command: Command) -> TwoModels:
    """Resolve a command: data files, templates and method.

    Raises:
        ValueError: one of --validation and --test without the other, or models and data that do not fit.
        FileNotFoundError: a file that does not exist.
    """
    if (command.validation is None) != (command.test is None):
        raise ValueError(
            "--validation and --test must be given together, or neither of them, got one. Without them, both are parts "
            "of --data."
        )
    if command.validation is None or command.test is None:
        source = split_file(command.data, _workdir(command) / "data")
    else:
        source = Jsonl(train=str(command.data), validation=str(command.validation), test=str(command.test))
    teacher, student = Pretrained(path=command.teacher), Pretrained(path=command.student)
    method, reason = chosen(command.method, student, teacher)
    _log.info("%s", reason)
    template = None if command.template in (None, "chat", "plain") else Path(command.template or "")
    if template is not None:
        folder = _workdir(command) / "models"
        student = with_chat_template(student, template, folder / "student")
        # Within one vocabulary both read the same tokens; another one has other control tokens.
        if method in PACKED:
            teacher = with_chat_template(teacher, template, folder / "teacher")
    if command.layers is not None:
        depth = student.config().depth
        kept = evenly_spaced(depth, command.layers[0]) if len(command.layers) == 1 else command.layers
        student = dataclasses.replace(student, layers=kept)
    return TwoModels(
        name=_name(command),
        student=student,
        teacher=teacher,
        source=source,
        method=method,
        student_template=_template(command.template, student),
        teacher_template=_template(command.template, teacher),
        steps=command.steps,
        rows=command.rows,
        length=command.length,
        learning_rate=command.learning_rate,
        precision="bfloat16" if command.bf16 else "float32",
        lora=None if command.lora is None else LoRA(rank=command.lora, alpha=2.0 * command.lora),
        seeds=command.seeds,
    )


def _template(given: str | None, model: Pretrained) -> Literal["chat", "plain"]:
    if given in ("chat", "plain"):
        return given
    return "plain" if model.tokenizer().chat_template is None else "chat"


def _name(command: Command) -> str:
    names = (
        Path(path).stem if path.endswith(".gguf") else Path(path).name for path in (command.student, command.teacher)
    )
    return re.sub(r"\W+", "_", "_from_".join(names)).strip("_").lower()


def _workdir(command: Command) -> Path:
    return command.workdir or Path("runs") / _name(command)


if __name__ == "__main__":
    main()
