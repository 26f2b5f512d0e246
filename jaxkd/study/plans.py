"""Dry run of a study: whether it fits an accelerator, its time and its disk, before anything runs."""

import contextlib
import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax

from jaxkd.report.cells import duration
from jaxkd.runtime import configs
from jaxkd.sharding import devices
from jaxkd.sharding.targets import GIB, MEM_FRACTION, Target, find
from jaxkd.study.data_preview import preview, require_sources
from jaxkd.study.study import Study, stage_folder
from jaxkd.training.planning.less_memory import advice
from jaxkd.training.stage import Plan, Stage
from jaxkd.training.train_stage import Train

UTILISATION = 0.4
"""Share of the peak that the time of a training assumes.  A rule of thumb for decoders, not a measurement."""


def check_target(name: str | None, *, dry_run: bool) -> None:
    """Reject accelerators that are unknown, or that are named without a dry run.

    Raises:
        ValueError: either of them.
    """
    if name is not None:
        find(name)
        if not dry_run:
            raise ValueError(f"target must come with --dry-run, got --target {name} alone. A run uses what it finds.")


def print_plans(
    study: Study, workdir: Path, *, target: str | None = None, only: str | None = None, verbose: bool = False
) -> None:
    """Validate the stages, and print whether they fit, their plans and their first examples; run nothing.

    Args:
        study: study to plan.
        workdir: folder in which it would run.
        target: name of the accelerators to plan for, as in `jaxkd.sharding.targets`; None plans for those at hand.
        only: name of a single stage; None plans all.
        verbose: whether to print each stage's whole config, as JSON, after its plan.

    Raises:
        ValueError: a stage that cannot work, or a target that is unknown or whose compiler is not installed.
    """
    found = None if target is None else find(target)
    stages = [stage for stage in study.stages if only in (None, stage.name)]
    with devices.planned(found.devices() if found else ()):
        for stage in stages:
            stage.validate()
        plans = {stage.name: stage.plan() for stage in stages}
        sys.stdout.write(f"{summary(study, workdir, stages, plans, found)}\n\n")
    for stage in stages:
        sys.stdout.write(f"=== {stage.name}\n{plans[stage.name].description}\n\n")
        try:
            require_sources([stage])
            examples = preview(stage)
        except FileNotFoundError as error:
            examples = f"data: {error}"
        if examples:
            sys.stdout.write(f"{examples}\n\n")
        if verbose:
            sys.stdout.write(f"{json.dumps(configs.encode(stage), indent=1)}\n\n")


def summary(
    study: Study, workdir: Path, stages: Sequence[Stage], plans: Mapping[str, Plan], target: Target | None
) -> str:
    """Return the table of the stages: memory of a device, time and disk; and what would make a stage fit."""
    usable = _usable(target)
    rows, notes, total, disk = [], [], 0.0, 0
    for stage in stages:
        plan, seeds = plans[stage.name], study.seeds_of(stage)
        seconds = training_seconds(plan, target) * len(seeds)
        size = sum(stage.disk_bytes(stage_folder(workdir, stage, seed)) for seed in seeds)
        total, disk = total + seconds, disk + size
        rows.append((stage.name, _memory(plan, usable), _time(seconds), _gigabytes(size)))
        if usable is not None and plan.memory is not None and plan.memory > usable and isinstance(stage, Train):
            notes.append(advice(stage, usable))
    rows.append(("in all", "", _time(total), _gigabytes(disk)))
    table = [("stage", "memory of a device", "time", "disk"), *rows]
    widths = [max(len(row[column]) for row in table) for column in range(4)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]
    free = shutil.disk_usage(_existing(workdir)).free
    lines += ["", *notes, f"Free on the disk of {workdir}: {_gigabytes(free)}{_short(disk, free)}."]
    if total:
        lines.append(f"The time is that of the matrix products at {UTILISATION:.0%} of the peak, of training alone.")
    return "\n".join([_head(target, usable), "", *lines])


def training_seconds(plan: Plan, target: Target | None) -> float:
    """Return the seconds of the matrix products of a stage at `UTILISATION` of the peak; 0 if that is unknown."""
    if target is None:
        return 0.0
    peak = target.bfloat16 if plan.bfloat16 else target.float32
    return plan.flops / (plan.devices * peak * UTILISATION)


def _usable(target: Target | None) -> float | None:
    """Return the bytes of one device that can be filled; None if that is not known."""
    if target is not None:
        return target.usable()
    (device, *_), count = jax.local_devices(), jax.local_device_count()
    with contextlib.suppress(jax.errors.JaxRuntimeError):
        limit = (device.memory_stats() or {}).get("bytes_limit")
        if limit:
            return float(limit)
    if device.platform != "cpu" or not hasattr(os, "sysconf"):
        return None
    return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")) / count


def _head(target: Target | None, usable: float | None) -> str:
    available = devices.devices()
    kind = f"{len(available)} x {available[0].device_kind}"
    memory = "" if usable is None else f", {usable / GIB:.1f} GiB a device"
    if target is None:
        return f"Planned for the devices at hand: {kind}{memory}."
    share = usable / target.memory if usable else 1.0
    part = "" if share == 1.0 else f" ({share:.0%} of {target.memory / GIB:.1f}: {MEM_FRACTION})"
    return f"Planned for {target.name}: {kind}{memory}{part}."


def _memory(plan: Plan, usable: float | None) -> str:
    if plan.memory is None:
        return "-"
    fits = "" if usable is None else ", fits" if plan.memory <= usable else ", does not fit"
    return f"{plan.memory / GIB:.1f} GiB{fits}"


def _time(seconds: float) -> str:
    return duration(seconds) if seconds else "-"


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:.1f} GB" if size else "-"


def _short(needed: float, free: float) -> str:
    return ", too little" if needed > free else ""


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())
