"""Programs that make a study of a few options: they show its config file, and plan or run it."""

import dataclasses
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from jaxkd.study.plans import check_target, print_plans
from jaxkd.study.program import prepare_process, run_and_report
from jaxkd.study.study import Study


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudyOptions:
    """Options of such a program, besides those that describe the study."""

    seeds: tuple[int, ...] = (0,)
    """Seeds of the trainings."""
    workdir: Path | None = None
    """Folder of the study; runs/NAME_OF_THE_STUDY by default."""
    write_config: Path | None = None
    """File to which the config is written, besides being printed."""
    dry_run: bool = False
    """Print the config, whether the stages fit, their time and disk, and the first examples of text; and stop."""
    target: str | None = None
    """Accelerators that a dry run plans for, such as h100-80gb, 8xh100-80gb or v5e-8; None: the devices at hand."""


Options = TypeVar("Options", bound=StudyOptions)


def run_described(
    kind: type[Options],
    describe: Callable[[Options, str], tuple[Study, str]],
    *,
    program: str,
    arguments: Sequence[str] | None,
) -> None:
    """Parse the options of a program, print the config file of its study, and plan or run it.

    Args:
        kind: class of the options; its docstring is the program's help.
        describe: function of the options and the command as typed; its results are the study and its config file.
        program: program as it is typed.
        arguments: arguments of the command line; None: those of this process.
    """
    import tyro

    from jaxkd.runtime.program import run_program

    given = list(sys.argv[1:] if arguments is None else arguments)
    options = tyro.cli(kind, args=given, prog=program, config=(tyro.conf.FlagCreatePairsOff,))
    run_program(lambda: _run(options, describe, shlex.join([*program.split(), *given])))


def _run(options: Options, describe: Callable[[Options, str], tuple[Study, str]], command: str) -> None:
    check_target(options.target, dry_run=options.dry_run)
    study, config_text = describe(options, command)
    sys.stdout.write(f"{config_text}\n")
    if options.write_config is not None:
        options.write_config.parent.mkdir(parents=True, exist_ok=True)
        options.write_config.write_text(config_text, encoding="utf-8")
    workdir = options.workdir or Path("runs") / study.name
    prepare_process(study)
    if options.dry_run:
        print_plans(study, workdir, target=options.target)
    else:
        run_and_report(study, workdir, command=command)
