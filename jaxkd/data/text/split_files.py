"""One JSON Lines file per split, and a warning where splits share rows."""

import dataclasses
import functools
import hashlib
import itertools
import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar, get_args

from jaxkd.data.text import json_rows
from jaxkd.runtime.packages import file_sha256
from jaxkd.typing import Split

_log = logging.getLogger(__name__)

Parsed = TypeVar("Parsed")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SplitFiles:
    """A source with one file per split."""

    train: str | None = None
    """Path of the file, or of a folder with a `train.jsonl`, as a `Generate` stage writes; None if unused."""
    validation: str | None = None
    """Path of the validation file, or of a folder with a `validation.jsonl`; None if unused."""
    test: str | None = None
    """Path of the test file, or of a folder with a `test.jsonl`; None if unused."""

    def file(self, split: Split) -> Path:
        """Return the file of a split.

        Raises:
            ValueError: no file for the split.
            FileNotFoundError: a missing file.
        """
        field, name = f"{type(self).__name__}.{split}", getattr(self, split)
        if name is None:
            raise ValueError(f"{field} must name a file, got None. Give {split}=PATH.")
        path = _path(name, split)
        if not path.is_file():
            raise FileNotFoundError(f"{field} must name an existing file, got {name!r} ({path.absolute()}).")
        return path

    def rows(self, split: Split, parse: Callable[[json_rows.JsonRow, str], Parsed]) -> list[Parsed]:
        """Read the rows of a split as `json_rows.read`, and log once which splits share rows.

        Raises:
            ValueError: as `file` and `json_rows.read`.
            FileNotFoundError: as `file`.
        """
        rows = json_rows.read(self.file(split), parse)
        named = ((one, getattr(self, one)) for one in get_args(Split))
        paths = ((one, _path(name, one)) for one, name in named if name is not None)
        _warn_of_shared_rows(tuple((one, path) for one, path in paths if path.is_file()), parse)
        return rows

    def require_own_keys(self, split: Split, keys: Iterable[str]) -> None:
        """Reject rows of a split that share a `key`.

        Raises:
            ValueError: two rows of one key, by file and lines.
        """
        key, count = Counter(keys).most_common(1)[0]
        if count > 1:
            path = self.file(split)
            lines = [
                str(number)
                for number, line in enumerate(path.read_bytes().split(b"\n"), start=1)
                if line.strip() and json.loads(line.decode("utf-8-sig")).get("key") == key
            ]
            raise ValueError(
                f'{path}, lines {", ".join(lines)}: "key" must be a name of its own in each row, got {key!r} {count} '
                "times. Rename the rows, or leave the field out."
            )

    def input_hashes(self, split: Split) -> dict[str, str]:
        """Return the hash of the file of a split."""
        return {} if getattr(self, split) is None else {split: file_sha256(self.file(split))}


def _path(name: str, split: Split) -> Path:
    path = Path(name).expanduser()
    return path / f"{split}.jsonl" if path.is_dir() else path


@functools.cache
def _warn_of_shared_rows(files: tuple[tuple[Split, Path], ...], parse: Callable[[json_rows.JsonRow, str], Any]) -> None:
    """Log once per process which splits are one file, or share rows."""
    if len(files) < 2:
        return
    contents = {path: _contents(path, parse) for _, path in files}
    for (split, path), (other, other_path) in itertools.combinations(files, 2):
        shared = len(contents[path] & contents[other_path])
        if path.samefile(other_path):
            _log.warning(
                "%s and %s are the same file, %s and %s: %d rows are shared", split, other, path, other_path, shared
            )
        elif shared:
            _log.warning("%s and %s share %d rows, in %s and %s", split, other, shared, path, other_path)


def _contents(path: Path, parse: Callable[[json_rows.JsonRow, str], Any]) -> frozenset[bytes]:
    """Return a digest of each different row, without its key; rows that cannot be read are left to their own split."""
    try:
        rows = [row for row in json_rows.readable(path, parse) if row is not None]
    except ValueError:
        return frozenset()
    texts = (repr(dataclasses.replace(row, key="", group="")) for row in rows)
    return frozenset(hashlib.blake2b(text.encode(), digest_size=16).digest() for text in texts)
