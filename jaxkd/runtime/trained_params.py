"""Trained parameters and running statistics of a run, from its checkpoints alone, and hashes of its initial models."""

from collections.abc import Mapping
from pathlib import Path

from jaxkd.runtime.checkpoint import Checkpoints
from jaxkd.runtime.storage.files import read_json, write_json
from jaxkd.typing import Better, Params

STUDENT = "student"
"""Parameter group that holds the whole student."""


def checkpoint_record(*, stream: dict, averaged: bool, ranked_by: str | None, better: Better) -> dict:
    """Return the record that a checkpoint stores beside its arrays.

    Args:
        stream: state of the data iterator.
        averaged: whether the moving averages are the result, not the parameters.
        ranked_by: metric whose best checkpoint is the result; None: the last.
        better: whether a lower or a higher value of it is better.
    """
    return {"stream": stream, "averaged": averaged, "ranked_by": ranked_by, "better": better}


def trained_params(run: Path, target: Params) -> Params:
    """Return the trained parameters of a run so far; arguments and exceptions as in `trained_variables`."""
    return trained_variables(run, target, {})[0]


def trained_variables(run: Path, params: Params, statistics: Params) -> tuple[Params, Params]:
    """Return the result of a run so far: the averages, if any, of the best or the last checkpoint.

    Args:
        run: folder of the run.
        params: `jax.ShapeDtypeStruct`s of the parameters, with the desired shardings.
        statistics: the same for the running statistics; an empty dict if the modules have none.

    Raises:
        ValueError: no checkpoint yet, or arrays of other shapes.
    """
    with Checkpoints(run / "checkpoints", read_only=True) as checkpoints:
        latest = checkpoints.latest()
        if latest is None:
            raise ValueError(f"run must have a checkpoint, got {run} without one. Let it run until its first save.")
        record = checkpoints.record(latest)
    items = ("ema", "ema_statistics") if record["averaged"] else ("params", "state")
    target = dict(zip(items, (params, statistics), strict=True))
    # Older records have no direction: lower was better.
    ranked_by, better = record["ranked_by"], record.get("better", "lower")
    with Checkpoints(run / "checkpoints", keep_best=ranked_by, better=better, read_only=True) as checkpoints:
        best = checkpoints.best() if ranked_by is not None else None
        # Without an empty dict, which Orbax does not restore from one that holds arrays.
        wanted = {item: tree for item, tree in target.items() if tree}
        restored = checkpoints.restore_part(latest if best is None else best, wanted)
    first, second = (restored.get(item, {}) for item in items)
    return first, second


def trained_student(run: Path, target: Params) -> Params:
    """Return the student of a run that trained all of it.

    Args:
        run: folder of the run.
        target: as in `trained_params`, of all or some of the student's parameters.

    Raises:
        ValueError: no checkpoint there, a run that trained adapters, or a model of another shape.
    """
    try:
        return trained_params(run, {STUDENT: target})[STUDENT]
    except ValueError as error:
        raise ValueError(
            f"trained must be the folder of a run that trained this model, all of it, got {run}: {error} What adapters "
            "have learnt is merged by `python -m jaxkd.export`, whose folder is a path."
        ) from error


def write_origins(run: Path, origins: Mapping[str, str]) -> None:
    """Store the hashes of the models that a run begins from, in place of those of a try that failed."""
    if origins:
        write_json(_origins_file(run), origins)
    else:
        _origins_file(run).unlink(missing_ok=True)


def origins(run: Path) -> dict[str, str]:
    """Return the hashes that `write_origins` stored; empty if there are none, or no run."""
    path = _origins_file(run)
    return read_json(path) if path.is_file() else {}


def _origins_file(run: Path) -> Path:
    return run / "origins.json"
