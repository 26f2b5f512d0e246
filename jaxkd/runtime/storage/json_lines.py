"""JSON Lines that grow: rows are appended, and an interrupted write leaves at most a part of the last one."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def whole_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the whole lines of a file; a partial line left by an interrupted write is cut off.

    A file that does not exist has no rows.

    Raises:
        ValueError: a line that is not JSON, by file and line.
    """
    if not path.exists():
        return
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) < len(data):
        path.write_bytes(whole)
    # Not `str.splitlines`: a text may hold other line breaks, which JSON leaves unescaped.
    for number, line in enumerate(whole.split(b"\n")[:-1], start=1):
        try:
            yield json.loads(line)
        except ValueError as error:
            raise ValueError(
                f"{path}, line {number}: a row must be JSON, got {error}. Remove the line; it is written again."
            ) from error
