"""Checkpoints: arrays and a JSON record that are saved together or not at all.

A save runs in the background, and its arrays may be donated as soon as `save` returns: while orbax still reads a
buffer, XLA copies instead of reusing it, and the array is not marked deleted.  A checkpoint gets its name when it is
complete, so if a process dies during a save, the previous checkpoint remains the latest.

A local checkpoint holds the checksums of its files, taken in the background at the end of its save, and is compared
with them before it is read; a remote store does that itself.
"""

import dataclasses
import functools
import json
import logging
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self, get_args

import jax
from jax.sharding import SingleDeviceSharding

from jaxkd.runtime.storage.free_space import is_remote
from jaxkd.runtime.storage.saved_steps import METRICS, SavedSteps, finalize_with_checksums
from jaxkd.typing import Better

_ARRAYS, _RECORD = "arrays", "record"


@dataclasses.dataclass(frozen=True)
class _LastAndBest:
    """Policy for the checkpoints to keep; an orbax PreservationPolicy."""

    last: int
    metric: str | None
    better: Better

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> list[bool]:
        """Return True for each checkpoint, oldest first, to keep."""
        del context
        best = self.best({checkpoint.step: checkpoint.metrics for checkpoint in checkpoints})
        first_of_last = len(checkpoints) - self.last
        return [i >= first_of_last or checkpoint.step == best for i, checkpoint in enumerate(checkpoints)]

    def best(self, metrics: Mapping[int, Mapping[str, float] | None]) -> int | None:
        """Return the step of the best score, the earliest of equals; None if all scores are missing or nan."""
        sign = 1 if self.better == "lower" else -1
        scores = {
            step: sign * values[self.metric]
            for step, values in metrics.items()
            if self.metric is not None and values and not math.isnan(values.get(self.metric, math.nan))
        }
        return min(scores, key=lambda step: (scores[step], step), default=None)


class Checkpoints:
    """Checkpoints of one run, in one folder; a context manager that ends with `close`.

    Args:
        folder: local path, or an address such as gs://bucket/run on a pod; created if missing.
        keep_last: number of latest checkpoints to keep.
        keep_best: name of the metric whose best checkpoint is kept as well; None: none.
        better: whether a lower or a higher value of that metric is better.
        read_only: for programs that read a run's checkpoints while it may still train.  A writer removes what a
            killed process left half written; in a reader, that would be what the run is writing now.

    A writer sets a damaged newest checkpoint aside, so that the run resumes from the one before it.

    Raises:
        ValueError: an option outside its range, `read_only` for a folder that does not exist, or only damaged
            checkpoints.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        keep_last: int = 2,
        keep_best: str | None = None,
        better: Better = "lower",
        read_only: bool = False,
    ) -> None:
        if keep_last < 1:
            raise ValueError(f"keep_last must be 1 or more, got {keep_last}: a run resumes from its latest checkpoint.")
        if better not in get_args(Better):
            raise ValueError(f"better must be 'lower' or 'higher', got {better!r}.")
        if read_only and not is_remote(folder) and not Path(folder).is_dir():
            raise ValueError(
                f"folder must be one that holds checkpoints, got {os.fspath(folder)}, which does not exist."
            )
        import orbax.checkpoint as ocp

        self._read_only = read_only
        self._ocp = ocp
        # Not before Orbax has imported absl, which makes a logger of its own class.
        self._orbax_log = logging.getLogger("absl")
        self._policy = _LastAndBest(keep_last, keep_best, better)
        self._folder = folder if is_remote(folder) else Path(folder).resolve()
        self._saved: SavedSteps | None = None
        arrays = ocp.PyTreeCheckpointHandler()
        if isinstance(self._folder, Path):
            # No subclass: its name would stand in the checkpoint, which Orbax alone could then not read.
            arrays.finalize = functools.partial(finalize_with_checksums, arrays.finalize)
            self._saved = SavedSteps(self._folder)
            if read_only and keep_best is not None:
                for step in self._saved.steps():
                    self._saved.require_whole(step, item=METRICS)
            elif not read_only and jax.process_index() == 0:
                self._saved.set_aside_damaged()
        self._manager = ocp.CheckpointManager(
            os.fspath(self._folder),
            item_handlers={_ARRAYS: arrays, _RECORD: ocp.JsonCheckpointHandler()},
            options=ocp.CheckpointManagerOptions(
                preservation_policy=self._policy,
                cleanup_tmp_directories=not read_only,
                create=not read_only,
                # Only its presence matters: orbax then writes the metrics beside the arrays.
                best_fn=None if keep_best is None else lambda metrics: metrics[keep_best],
            ),
        )

    def save(
        self, step: int, arrays: Any, record: Mapping[str, Any], metrics: Mapping[str, float] | None = None
    ) -> None:
        """Start a save; returns once the arrays may be changed or donated.

        A failure of the previous save, such as a full disk, is raised here or by `wait`.

        Args:
            step: step greater than every saved one.
            arrays: tree of `jax.Array`s; empty sub-trees are kept.
            record: JSON values: the state of the data iterator, the number of examples consumed.
            metrics: metrics for `keep_best`; None or without that metric if it was not measured.

        Raises:
            ValueError: a step that is not greater than the latest, or `read_only`.
            TypeError: a record that JSON cannot hold.
        """
        if self._read_only:
            raise ValueError("read_only must be False to save, got True.")
        latest = self._manager.latest_step()
        if latest is not None and step <= latest:
            raise ValueError(
                f"step must be greater than the latest that was saved, got {step} and {latest}. "
                "Resume from the latest checkpoint, or give the run a new folder."
            )
        try:
            json.dumps(record)
        except (TypeError, ValueError) as error:
            raise TypeError(f"record must be made of what JSON can hold: {error}.") from error
        self._orbax_log.addFilter(_is_no_traceback_of_orbax)
        self._manager.save(
            step,
            args=self._ocp.args.Composite(
                **{_ARRAYS: self._ocp.args.PyTreeSave(arrays), _RECORD: self._ocp.args.JsonSave(dict(record))}
            ),
            # Not None, which makes orbax warn at every save.
            metrics={name: float(value) for name, value in (metrics or {}).items()},
            force=True,
        )

    def latest(self) -> int | None:
        """Return the latest completely saved step; None if there is none."""
        self.wait()
        return self._manager.latest_step()

    def best(self) -> int | None:
        """Return the step with the best `keep_best` metric; None if no checkpoint has one."""
        self.wait()
        return self._policy.best({step: self._manager.metrics(step) for step in self._manager.all_steps()})

    def restore(self, step: int, target: Any) -> tuple[Any, dict[str, Any]]:
        """Return the arrays and the record of one checkpoint.

        Args:
            step: saved step.
            target: tree of `jax.ShapeDtypeStruct`s as saved.  Each array is restored to the `sharding` of its
                entry, whatever mesh it was saved from; without a sharding, to the first local device.

        Raises:
            ValueError: no such checkpoint, one whose arrays differ in name, shape or dtype from `target`, or a damaged
                one.
        """
        self._check(step, target, partial=False)
        return self._arrays(step, target), self.record(step)

    def restore_part(self, step: int, target: Any) -> Any:
        """Restore only a sub-tree: `{"params": ...}` without the optimizer's state, and no record."""
        self._check(step, target, partial=True)
        return self._arrays(step, target)

    def record(self, step: int) -> dict[str, Any]:
        """Return the record of one checkpoint, without reading its arrays."""
        self._check_step(step, item=f"{_RECORD}/")
        args = self._ocp.args.Composite(**{_RECORD: self._ocp.args.JsonRestore()})
        return self._manager.restore(step, args=args)[_RECORD]

    def wait(self) -> None:
        """Wait for the current save to complete, and raise its error if it failed."""
        try:
            self._manager.wait_until_finished()
        finally:
            self._orbax_log.removeFilter(_is_no_traceback_of_orbax)

    def close(self) -> None:
        """Call `wait`, then end the threads."""
        try:
            self._manager.close()
        finally:
            self._orbax_log.removeFilter(_is_no_traceback_of_orbax)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check_step(self, step: int, *, item: str = "") -> None:
        self.wait()
        steps = self._manager.all_steps()
        if step not in steps:
            found = ", ".join(map(str, sorted(steps))) or "none"
            raise ValueError(f"step must be one that is saved in {self._folder}, got {step}. Saved: {found}.")
        # One process reads the files for all.
        if self._saved is not None and jax.process_index() == 0:
            self._saved.require_whole(step, item=item)

    def _check(self, step: int, target: Any, *, partial: bool) -> None:
        """Compare names, shapes and dtypes before anything is read.

        Orbax silently casts to another dtype, and after a shape mismatch its readers print a page of "Event loop is
        closed".
        """
        self._check_step(step)
        saved = _described(self._manager.item_metadata(step)[_ARRAYS].tree)
        wanted = _described(target)
        names = [*wanted] if partial else [*wanted, *(name for name in saved if name not in wanted)]
        differences = [
            f"{name}: saved {saved.get(name, 'nothing')}, wanted {wanted.get(name, 'nothing')}"
            for name in names
            if saved.get(name) != wanted.get(name)
        ]
        if differences:
            more = f"; and {len(differences) - 5} more" if len(differences) > 5 else ""
            raise ValueError(
                f"target must describe the arrays of checkpoint {step} in {self._folder}, got differences at "
                f"{'; '.join(differences[:5])}{more}. The model, the optimizer or the precision was another one."
            )

    def _arrays(self, step: int, target: Any) -> Any:
        default = SingleDeviceSharding(jax.local_devices()[0])
        target = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding or default), target
        )
        args = self._ocp.args.PyTreeRestore(
            target, restore_args=self._ocp.checkpoint_utils.construct_restore_args(target), partial_restore=True
        )
        return self._manager.restore(step, args=self._ocp.args.Composite(**{_ARRAYS: args}))[_ARRAYS]


def _is_no_traceback_of_orbax(record: logging.LogRecord) -> bool:
    """Return False for the traceback that Orbax logs of a save that failed: the error is raised as well."""
    return not record.exc_info or "orbax" not in Path(record.pathname).parts


def tree_bytes(tree: Any) -> int:
    """Return the bytes of all arrays of a tree; abstract ones count in full."""
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def _described(tree: Any) -> dict[str, str]:
    """Map array names to dtypes and shapes."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): f"{leaf.dtype}{list(leaf.shape)}"
        for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]
    }
