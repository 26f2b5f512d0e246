"""The options that people change, on one screen; options that several stages share are listed once."""

import shutil
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from jaxkd.command_line.options import Option, options
from jaxkd.training.stage import Stage
from jaxkd.training.train_stage import Train

OF_TRAINING = (
    "steps",
    "accumulation",
    "precision",
    "start-from",
    "evaluate-every",
    "save-every",
    "keep-best",
    "better",
    "optimizer.learning-rate",
    "optimizer.schedule",
    "optimizer.warmup-steps",
    "optimizer.weight-decay",
    "mesh.data",
    "mesh.fsdp",
    "mesh.tensor",
)
"""Options of every training stage, besides those of its recipe."""

OF_DATA = ("path", "layers", "rows", "length", "targets", "limit", "template", "train")
"""Last parts of the options of a recipe's models, data and sources."""

MOST = 44
"""Maximum number of lines of stages' options; the others are left to `--help-all`."""

_WIDEST, _OPTION, _VALUE = 120, 36, 16
"""Widths in characters: of a line, and of its columns."""


def short_help(program: str, description: str, own: Sequence[Option], stages: Sequence[Stage]) -> str:
    """Format the program's own options and the main ones of its stages, with their present values.

    Args:
        program: command that the help is about.
        description: paragraphs of text, separated by empty lines.
        own: options of the program itself.
        stages: stages of the study; those that train have their options listed.
    """
    training = {stage.name: {one.name: one for one in options(stage)} for stage in stages if isinstance(stage, Train)}
    names = [name for name in dict.fromkeys(name for found in training.values() for name in found) if _is_main(name)]
    names.sort(key=lambda name: name.startswith("recipe."))
    lines = [_line(f"--{one.name}", _shown(one.value), one.doc) for one in own]
    if training:
        stage = next(iter(training)) if len(training) == 1 else "NAME"
        lines.append("")
        if len(training) > 1:
            lines += textwrap.wrap(f"of the training stages, where NAME is one of {', '.join(training)}:", _WIDEST)
        lines += [_stage_line(stage, name, training) for name in names[:MOST]]
    others = [stage.name for stage in stages if stage.name not in training]
    return "\n".join(
        [
            f"usage: {program} [OPTIONS]",
            "",
            description,
            "",
            *lines,
            "",
            *([f"Other stages: {', '.join(others)}."] if others else []),
            *([f"{len(names) - MOST} more options of the methods are not listed here."] if len(names) > MOST else []),
            "--help-all lists every option of every stage.",
        ]
    )


def _is_main(name: str) -> bool:
    """Whether an option belongs on the first screen: a setting of the training, its data, or a number of the method."""
    *front, last = name.split(".")
    if front[:1] != ["recipe"]:
        return name in OF_TRAINING
    if not {"student", "teacher", "data"}.isdisjoint(front):
        return last in OF_DATA and "architecture" not in front
    return last not in ("remat", "teacher-cache")


def _stage_line(stage: str, name: str, training: Mapping[str, Mapping[str, Option]]) -> str:
    having = {of: found[name] for of, found in training.items() if name in found}
    value = " or ".join(dict.fromkeys(_shown(one.value) for one in having.values()))
    if len(having) > 1 and len(value) > _VALUE and " or " in value:
        value = "differs"
    of = next(iter(having)) if len(having) == 1 else stage
    return _line(f"--{of}.{name}", value, next(iter(having.values())).doc)


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return " ".join(map(str, value)) or "none"
    return (
        {None: "none", True: "yes", False: "no"}.get(value, str(value))
        if isinstance(value, bool | None)
        else str(value)
    )


def _line(option: str, value: str, doc: str) -> str:
    """Format one option; the doc is cut at the width of the terminal."""
    width = min(shutil.get_terminal_size((_WIDEST, 24)).columns, _WIDEST)
    line = f"  {option:<{_OPTION}} {value:<{_VALUE}} {doc}".rstrip()
    return line if len(line) <= width else f"{line[: width - 1]}…"
