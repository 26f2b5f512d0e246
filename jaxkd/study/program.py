"""A study as a program runs it: settings of the process, stages, and what is written at the end."""

import logging
import os
from pathlib import Path

import jax

from jaxkd.runtime import host_memory
from jaxkd.sharding.mesh import initialize_processes
from jaxkd.study.results.summary import write_summary
from jaxkd.study.study import Study, run_study
from jaxkd.training.train_stage import Train

_log = logging.getLogger(__name__)


def prepare_process(study: Study) -> None:
    """Apply the settings that must be decided before JAX touches a device."""
    training = [stage for stage in study.stages if isinstance(stage, Train)]
    if any(stage.double_precision for stage in study.stages):
        jax.config.update("jax_enable_x64", True)
    if any(stage.deterministic for stage in training):
        os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_gpu_deterministic_ops=true"
    initialize_processes()


def run_and_report(study: Study, workdir: Path, *, command: str, only: str | None = None) -> None:
    """Run the unfinished stages, print the table, and write summary and report.

    Args:
        study: study to run.
        workdir: folder of the study.
        command: command as the user typed it, for the report.
        only: name of a single stage to run; None runs all.
    """
    trains = any(isinstance(stage, Train) for stage in study.stages)
    if trains and jax.default_backend() == "cpu" and (advice := host_memory.huge_pages_advice()) is not None:
        _log.info("%s", advice)
    run_study(study, workdir, only=only)
    report(study, workdir, command=command)


def report(study: Study, workdir: Path, *, command: str) -> None:
    """Print the table of the finished stages, and write summary and report, in one of the processes.

    Args:
        study: study as it was run.
        workdir: folder of the study.
        command: command as the user typed it.

    Raises:
        ValueError: a folder that does not exist.
    """
    if not workdir.is_dir():
        raise ValueError(f"workdir must be the folder of a study that has run, got {workdir}, which does not exist.")
    if jax.process_index() == 0:
        write_summary(study, workdir, command=command)
