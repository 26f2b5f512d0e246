"""Folder of a cache by example: what it was made from, how far it is, and whether it is complete."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxkd.runtime.storage.checked_rows import CheckedRows
from jaxkd.runtime.storage.files import read_json, write_json

MANIFEST, PROGRESS = "manifest.json", "progress.json"


class CacheWriter:
    """Writer of a cache, batch by batch; a batch is recorded whole or redone."""

    def __init__(self, folder: Path, manifest: Mapping[str, Any], rows: Sequence[CheckedRows]):
        """Resume a cache that `begun` finds, or go on with one whose files were just created.

        Raises:
            ValueError: rows of an unfinished cache that are not as they were written.
        """
        self._folder, self._manifest, self._rows = folder, dict(manifest), tuple(rows)
        self.batches_done = _batches_done(folder)
        if not self.complete:
            for one in self._rows:
                one.check_written()

    @property
    def complete(self) -> bool:
        return bool(self._manifest["complete"])

    def flush(self) -> None:
        """Make everything written so far survive a crash."""
        for rows in self._rows:
            rows.flush()
        write_json(self._folder / PROGRESS, {"batches_done": self.batches_done})

    def finish(self) -> None:
        """Mark the cache as complete; only then can it be opened."""
        self.flush()
        self._manifest["complete"] = True
        write_json(self._folder / MANIFEST, self._manifest)


def begun(folder: Path) -> bool:
    """Whether a folder holds a cache that can be resumed: without a finished batch there is nothing to resume."""
    return (folder / MANIFEST).exists() and (folder / PROGRESS).exists()


def complete_manifest(folder: Path, identity: Mapping[str, str]) -> dict[str, Any]:
    """Return the manifest of a finished cache.

    Raises:
        FileNotFoundError: a folder without a cache.
        ValueError: a cache of something else (the fields are named), or incomplete.
    """
    manifest = read_manifest(folder)
    require_identity(folder, manifest["identity"], identity)
    if not manifest["complete"]:
        raise ValueError(
            f"the cache in {folder} must be complete, got {_batches_done(folder)} batches so far. "
            "Run its stage again: it resumes where it stopped."
        )
    return manifest


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of a cache, finished or not.

    Raises:
        FileNotFoundError: a folder without a cache.
    """
    path = folder / MANIFEST
    if not path.exists():
        raise FileNotFoundError(
            f"teacher_cache must be a folder with a manifest.json, got {folder}. Run its stage first."
        )
    return read_json(path)


def require_identity(folder: Path, found: Mapping[str, str], wanted: Mapping[str, str]) -> None:
    """Reject a cache of something else.

    Raises:
        ValueError: fields that differ, by name.
    """
    different = [name for name in wanted if found.get(name) != wanted[name]]
    if different:
        raise ValueError(
            f"the cache in {folder} must be made from the same {', '.join(wanted)}, but differs in "
            f"{', '.join(different)}. Use another folder, or remove this one to rebuild it."
        )


def _batches_done(folder: Path) -> int:
    path = folder / PROGRESS
    return int(read_json(path)["batches_done"]) if path.exists() else 0
