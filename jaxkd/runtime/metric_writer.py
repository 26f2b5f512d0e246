"""Metrics of a run: one JSON row per step in `metrics.jsonl`, and the same in TensorBoard and wandb if requested.

The file is the record; the others are views of it.  A row counts once its newline is written, so an incomplete row
of a killed process is cut off.
"""

import hashlib
import importlib
import itertools
import json
import logging
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import jax
import numpy as np

from jaxkd.runtime.storage.files import append

_log = logging.getLogger(__name__)

FILE = "metrics.jsonl"

RATE_SUFFIX = "_per_second"
"""End of the name of what a run counts in a second, such as `tokens_per_second`."""

_WALL_CLOCK = frozenset({"seconds", "train/rollout/seconds"})

_NOT_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
"""Values that JSON lacks, which the file stores as strings."""


class MetricWriter:
    """Writer of the metrics of a run; a context manager that ends with `close`.

    Only process 0 writes; on the others every method does nothing.

    Args:
        folder: folder of the run, created if missing.
        tensorboard: write for TensorBoard; None: if tensorboardX is installed.
        wandb: log to wandb as well, as its variables (WANDB_PROJECT, ...) set.

    Raises:
        ImportError: a requested package is not installed.
    """

    def __init__(self, folder: str | os.PathLike[str], *, tensorboard: bool | None = None, wandb: bool = False) -> None:
        self._folder = Path(folder)
        self._active = jax.process_index() == 0
        self._summary_type: Any = None
        self._summary: Any = None
        self._wandb: Any = None
        self._purge_step: int | None = None
        if not self._active:
            return
        self._summary_type = _summary_type(tensorboard)
        self._folder.mkdir(parents=True, exist_ok=True)
        if wandb:
            self._wandb = _wandb_run(self._folder)
        self._cut(len(_complete(self._folder / FILE)))

    def write(self, step: int, values: Mapping[str, Any]) -> None:
        """Append one row.

        Args:
            step: optimizer step.
            values: name -> number (Python, NumPy, or an array without axes).

        Raises:
            ValueError: a metric named "step".
            TypeError: a value that is not one number.
        """
        if not self._active:
            return
        if "step" in values:
            raise ValueError('values must not hold a metric named "step", which is the first field of each row.')
        numbers = {name: _number(name, value) for name, value in values.items()}
        row = {name: value if math.isfinite(value) else str(float(value)) for name, value in numbers.items()}
        append(self._folder / FILE, json.dumps({"step": int(step), **row}, allow_nan=False) + "\n")
        if self._summary is None and self._summary_type is not None:
            # TensorBoard hides what an earlier writer logged at purge_step and later.
            self._summary = self._summary_type(str(self._folder), purge_step=self._purge_step)
        if self._summary is not None:
            for name, value in numbers.items():
                self._summary.add_scalar(name, value, int(step))
            self._summary.flush()
        if self._wandb is not None:
            self._wandb.log(numbers, step=int(step))

    def truncate_after(self, step: int, *, every: int = 1) -> None:
        """Drop the rows after `step`, the restored step: the run writes them again.

        Rows before it that are missing, as after damage to the file, are reported: no run writes them again.  wandb
        keeps the rows that it has and ignores repeated ones.

        Args:
            step: restored step.
            every: steps between two rows.
        """
        if not self._active:
            return
        kept, steps = 0, [0]
        content = _complete(self._folder / FILE)
        for line, row in zip(content.splitlines(keepends=True), read(self._folder), strict=True):
            if row["step"] > step:
                break
            kept += len(line)
            steps.append(row["step"])
        # An earlier part of the run may have written fewer rows.
        if step - steps[-1] >= max([every, *(after - before for before, after in itertools.pairwise(steps))]):
            _log.warning(
                "%s must have rows up to step %d, got them up to step %d: it is damaged, and curves lack the rest. "
                "Remove the run's folder to train it anew",
                self._folder / FILE,
                step,
                steps[-1],
            )
        self._cut(kept)
        self._purge_step = step + 1
        if self._summary is not None:
            self._summary.close()
            self._summary = None

    def close(self) -> None:
        """Flush and close all outputs."""
        if not self._active:
            return
        if self._summary is not None:
            self._summary.close()
        if self._wandb is not None:
            self._wandb.finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _cut(self, size: int) -> None:
        path = self._folder / FILE
        if path.exists():
            os.truncate(path, size)


def read(folder: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Return the rows of a run, oldest first; empty if none was written.

    Raises:
        ValueError: a line that is not a row, with its file and number.
    """
    return list(_rows(Path(folder) / FILE))


def without_wall_clock(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row without the fields that differ between two runs that are otherwise equal bit for bit.

    Example:
        >>> without_wall_clock({"step": 1, "train/loss": 0.5, "seconds": 2.0, "images_per_second": 32.0})
        {'step': 1, 'train/loss': 0.5}
    """
    return {name: row[name] for name in row if name not in _WALL_CLOCK and not name.endswith(RATE_SUFFIX)}


def _complete(path: Path) -> bytes:
    """Return a file up to its last newline."""
    content = path.read_bytes() if path.exists() else b""
    return content[: content.rfind(b"\n") + 1]


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(_complete(path).splitlines(), start=1):
        try:
            row = json.loads(line)
            yield {name: _NOT_FINITE[value] if isinstance(value, str) else value for name, value in row.items()}
        except (ValueError, KeyError, AttributeError) as error:
            raise ValueError(f"{path}, line {number}, must be a JSON object of numbers, got {line[:80]!r}.") from error


def _number(name: str, value: Any) -> int | float:
    array = np.asarray(value)
    if array.ndim or not jax.numpy.issubdtype(array.dtype, np.number):
        raise TypeError(f"{name} must be one number, got {array.dtype} of shape {array.shape}. Reduce it first.")
    return array.item()


def _summary_type(tensorboard: bool | None) -> Any:
    """Return the class that writes TensorBoard's files, or None."""
    if tensorboard is False:
        return None
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        if tensorboard:
            raise ImportError(
                'tensorboard=True needs tensorboardX: pip install "jaxkd-distill[tensorboard]", or leave it out.'
            ) from error
        return None
    return SummaryWriter


def _wandb_run(folder: Path) -> Any:
    try:
        # By name, since it is optional: a plain import fails the type check.
        wandb = importlib.import_module("wandb")
    except ImportError as error:
        raise ImportError('wandb=True needs wandb: pip install "jaxkd-distill[wandb]", or leave it out.') from error
    # The same folder is the same run, so that a resumed run continues its own curves.
    identity = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
    return wandb.init(dir=str(folder), id=identity, resume="allow", name=folder.name)
