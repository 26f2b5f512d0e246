"""`python -m jaxkd.train`: run the study that a config file describes."""

import argparse
import dataclasses
import difflib
import importlib.util
import inspect
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, NoReturn, get_args

from jaxkd.command_line.options import options
from jaxkd.command_line.short_help import short_help
from jaxkd.command_line.suggestions import suggestions
from jaxkd.study.plans import check_target, print_plans
from jaxkd.study.program import prepare_process, report, run_and_report
from jaxkd.study.study import Study
from jaxkd.training.stage import Stage
from jaxkd.training.train_stage import Train

Size = Literal["full", "smoke"]

DEFAULT_CONFIG = Path("configs/quickstart.py")
PROGRAM = "python -m jaxkd.train"
HELP_ALL = "--help-all"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """Train, evaluate and report what a config file describes.

    Every field of a stage can be set with the stage's name as prefix, as in --kd.recipe.temperature 1.0; the prefix is
    optional if there is one training stage.  The same command again resumes where the last one stopped.

    Exit status: 0 if all is done, 1 for a mistake, 75 if the run was stopped by SIGTERM or Ctrl-C, is saved and goes on
    by the same command, 130 for a second Ctrl-C.
    """

    config: Path = DEFAULT_CONFIG
    """Python file with `get_config(size) -> Study`."""
    size: Size = "full"
    """Size of the study: "smoke" runs the same stages in miniature."""
    workdir: Path | None = None
    """Folder of the study; runs/NAME, or runs/NAME-smoke, by default."""
    seeds: tuple[int, ...] | None = None
    """Seeds that replace the config's."""
    only: str | None = None
    """Name of a single stage to run."""
    report: bool = False
    """Write the tables of the finished stages in the workdir, and run nothing."""
    dry_run: bool = False
    """Print whether the stages fit, their time and disk, what they work on, and the first examples; and stop."""
    target: str | None = None
    """Accelerators that a dry run plans for, such as h100-80gb, 8xh100-80gb or v5e-8; None: the devices at hand."""
    verbose: bool = False
    """Print each stage's whole config too, in a dry run."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, run the study, print its table."""
    from jaxkd.runtime.program import run_program

    run_program(lambda: _main(list(sys.argv[1:] if arguments is None else arguments)))


def _main(arguments: list[str]) -> None:
    command, study = parse(arguments)
    check_target(command.target, dry_run=command.dry_run)
    prepare_process(study)
    workdir = command.workdir or Path("runs") / (study.name + ("" if command.size == "full" else f"-{command.size}"))
    typed = shlex.join([*PROGRAM.split(), *arguments])
    if command.dry_run:
        print_plans(study, workdir, target=command.target, only=command.only, verbose=command.verbose)
    elif command.report:
        report(study, workdir, command=typed)
    else:
        run_and_report(study, workdir, command=typed, only=command.only)


def parse(arguments: list[str]) -> tuple[Command, Study]:
    """Return the command, and the study with its overrides.

    The config file decides which options exist, so it is found and loaded first.

    Raises:
        ValueError: a config file that does not exist, or one without `get_config`.
        SystemExit: help was asked for, an unknown option, answered with the nearest ones, or a wrong value.
    """
    import tyro

    finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    finder.add_argument("--config", type=Path, default=DEFAULT_CONFIG)
    finder.add_argument("--size", choices=get_args(Size), default="full")
    try:
        found, _ = finder.parse_known_args(arguments)
    except argparse.ArgumentError:
        # tyro, which knows the whole command, gives a better message.
        found = argparse.Namespace(config=DEFAULT_CONFIG, size="full")
    study = load_study(found.config)(found.size)
    if not {"-h", "--help"}.isdisjoint(arguments):
        own = [dataclasses.replace(one, value=getattr(found, one.leaf, one.value)) for one in options(Command())]
        sys.stdout.write(f"{short_help(PROGRAM, inspect.cleandoc(Command.__doc__ or ''), own, study.stages)}\n")
        raise SystemExit(0)
    fields = [
        (stage.name, type(stage), dataclasses.field(default=stage, metadata={"doc": stage.__doc__}))
        for stage in study.stages
    ]
    whole = dataclasses.make_dataclass(
        "TrainCommand", fields, bases=(Command,), frozen=True, kw_only=True, namespace={"__doc__": Command.__doc__}
    )
    parsed: Any
    parsed, unknown = tyro.cli(
        whole,
        args=["--help" if one == HELP_ALL else one for one in _with_stage_names(arguments, study.stages)],
        prog=PROGRAM,
        # An optional config is what the config file chose, and its fields can be set; it is not a subcommand.
        config=(tyro.conf.AvoidSubcommands,),
        return_unknown_args=True,
    )
    if unknown:
        _reject(unknown, [one.name for one in options(whole())])
    stages = tuple(getattr(parsed, stage.name) for stage in study.stages)
    seeds = study.seeds if parsed.seeds is None else parsed.seeds
    return parsed, dataclasses.replace(study, stages=stages, seeds=seeds)


def _reject(unknown: list[str], names: Sequence[str]) -> NoReturn:
    """End the program with what could not be read, and the options that may have been meant."""
    mistyped = [one.partition("=")[0] for one in unknown if one.startswith("--")] or unknown
    for one in mistyped:
        near = [f"--{name}" for name in suggestions(one.removeprefix("--"), names)]
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        sys.stderr.write(f"error: there is no option {one}.{hint} --help lists the main options, {HELP_ALL} all.\n")
    raise SystemExit(2)


def load_study(path: Path) -> Callable[[Size], Study]:
    """Return `get_config` of a config file.

    Raises:
        ValueError: no such file (the nearest names are listed), a file that is not Python, no `get_config` in it, or
            something that it imports is missing.
    """
    if not path.is_file():
        present = sorted(str(found) for found in Path("configs").glob("*.py"))
        near = difflib.get_close_matches(str(path), present, n=1, cutoff=0.4)
        hint = f" Did you mean {near[0]}?" if near else ""
        listed = f" Configs here: {', '.join(present)}." if present else " There is no configs folder here."
        raise ValueError(f"config must be a Python file, got {path}, which does not exist.{hint}{listed}")
    spec = importlib.util.spec_from_file_location(f"jaxkd_config_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ValueError(f"config must be a Python file, got {path}.")
    module = importlib.util.module_from_spec(spec)
    # Registered by name, so that classes defined in the file can be inspected, and read back by the same command.
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except ModuleNotFoundError as error:
        raise ValueError(f"{path} needs what is not installed: {error}") from error
    except ImportError as error:
        raise ValueError(f"{path} must import what exists, it does not: {error}.") from error
    except SyntaxError as error:
        raise ValueError(f"{path}, line {error.lineno}: a config must be Python, got {error.msg}.") from error
    if not callable(getattr(module, "get_config", None)):
        raise ValueError(f"{path} must define get_config(size) -> Study, it does not.")
    return module.get_config


def _with_stage_names(arguments: list[str], stages: Sequence[Stage]) -> list[str]:
    """Turn `--recipe.x` into `--NAME.recipe.x` if the study has one training stage."""
    training = [stage for stage in stages if isinstance(stage, Train)]
    if len(training) != 1:
        return arguments
    own = {field.name.replace("_", "-") for field in dataclasses.fields(training[0])}
    taken = {field.name.replace("_", "-") for field in dataclasses.fields(Command)} | {stage.name for stage in stages}

    def named(argument: str) -> str:
        first = argument.removeprefix("--").split(".")[0].split("=")[0].replace("_", "-")
        known = argument.startswith("--") and first in own and first not in taken
        return f"--{training[0].name}.{argument.removeprefix('--')}" if known else argument

    return [named(argument) for argument in arguments]


if __name__ == "__main__":
    main()
