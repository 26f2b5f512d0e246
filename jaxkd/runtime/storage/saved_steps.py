"""Local folders of checkpoints, one a step, with the checksums of their files."""

import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jaxkd.runtime.storage import checksums

_log = logging.getLogger(__name__)

_UNFINISHED = ".orbax-checkpoint-tmp"
_NOT_FINAL = ("_CHECKPOINT_METADATA", "commit_success.txt")
"""Files that Orbax writes last, and reads for no result."""

METRICS = "metrics/"
"""Item of a checkpoint by which it may be ranked."""


def finalize_with_checksums(finalize: Callable[[Any], None], directory: Any) -> None:
    """Finish the arrays of a checkpoint, then store the checksums of all its files, before it gets its name.

    Args:
        finalize: method of Orbax's handler of the arrays.
        directory: folder of the arrays, in that of the step.
    """
    finalize(directory)
    step = Path(directory).parent
    files = [path for path in step.rglob("*") if path.is_file() and path.name not in _NOT_FINAL]
    checksums.write(step, {path.relative_to(step).as_posix().replace(_UNFINISHED, ""): path for path in files})


class SavedSteps:
    """Checkpoints of a folder, compared with their checksums once."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._found: dict[tuple[int, str], Path | None] = {}

    def steps(self) -> list[int]:
        """Return the steps that are saved, oldest first."""
        names = [path.name for path in self._folder.iterdir()] if self._folder.is_dir() else []
        return sorted(int(name) for name in names if name.isdigit())

    def require_whole(self, step: int, *, item: str = "") -> None:
        """Reject a damaged checkpoint.

        Args:
            step: saved step.
            item: part of the checkpoint to compare, all by default.

        Raises:
            ValueError: a file that is missing or differs; the message gives its name and the folder to remove.
        """
        if (path := self._damaged(step, item)) is not None:
            raise ValueError(
                f"{path} must be as it was saved, got a file that is missing or differs. The checkpoint is damaged: "
                f"remove {self._folder / str(step)} and run the same command again. What then counts is the checkpoint "
                "before it; without one the run starts anew."
            )

    def set_aside_damaged(self) -> None:
        """Rename damaged checkpoints until the newest is whole, and those whose metrics are damaged.

        Raises:
            ValueError: as `require_whole`, if none remains.
        """
        steps = self.steps()
        whole = [step for step in steps if self._damaged(step, METRICS) is None]
        while whole and self._damaged(whole[-1], "") is not None:
            whole.pop()
        if steps and not whole:
            self.require_whole(steps[-1])
        for step in steps:
            if step not in whole:
                folder, aside = self._folder / str(step), self._folder / f"{step}.damaged"
                _log.warning(
                    "checkpoint %s is damaged (%s is missing or differs): it is renamed to %s, which can be removed, "
                    "and the newest is that of step %d",
                    folder,
                    self._damaged(step, ""),
                    aside.name,
                    whole[-1],
                )
                shutil.rmtree(aside, ignore_errors=True)
                os.replace(folder, aside)

    def _damaged(self, step: int, item: str) -> Path | None:
        """Return the first damaged file; compared once."""
        if (step, item) not in self._found:
            self._found[step, item] = checksums.damaged(self._folder / str(step), under=item)
        return self._found[step, item]
