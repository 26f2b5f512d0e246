"""`python -m tests.what_happens` prints the table of inputs, what becomes of them, and the messages.

Each case is tried for real: its file is written and read, or its command parsed.
"""

import contextlib
import gzip
import io
import json
import logging
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from jaxkd import train
from jaxkd.data import Jsonl
from jaxkd.dynamics.identification import parsing
from jaxkd.runtime.storage.files import read_json
from jaxkd.runtime.storage.folder_lock import locked

ROW = {"prompt": "Which planet is the largest?", "response": "Jupiter."}


class Case(NamedTuple):
    """One input."""

    what: str
    happens: str
    tried: Callable[[Path], object]
    """Function that tries it in an empty folder, and raises or logs the message."""


def rows(*lines: dict | str, encoding: str = "utf-8", name: str = "rows.jsonl") -> Callable[[Path], object]:
    """Read these lines as training rows."""

    def tried(folder: Path) -> object:
        text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
        (folder / name).write_text(text, encoding=encoding)
        return Jsonl(train=str(folder / name)).examples("train")

    return tried


def packed(content: bytes, name: str) -> Callable[[Path], object]:
    """Read a file of these bytes as training rows."""

    def tried(folder: Path) -> object:
        (folder / name).write_bytes(content)
        return Jsonl(train=str(folder / name)).examples("train")

    return tried


def same_file(folder: Path) -> object:
    path = folder / "rows.jsonl"
    path.write_text(json.dumps(ROW) + "\n")
    return Jsonl(train=str(path), test=str(path)).examples("train")


def damaged(folder: Path) -> object:
    path = folder / "config.json"
    path.write_text("")
    return read_json(path)


def in_use(folder: Path) -> object:
    with locked(folder), locked(folder):
        return None


def term(text: str) -> Callable[[Path], object]:
    """Read a term of an equation in the state `angle`."""
    return lambda _: parsing.expression(text, parsing.symbols(("angle",)))


CASES = (
    Case(
        "rows of databricks-dolly-15k",
        "`context` is read as `input`; the ignored field is logged once per file",
        rows({"instruction": "Name it.", "context": "A planet.", "response": "Mars.", "category": "closed_qa"}),
    ),
    Case("a field that is missing", "refused", rows({"prompt": "Which planet?"})),
    Case(
        "an unknown role",
        "refused",
        rows({"messages": [{"role": "narrator", "content": "Once."}, {"role": "assistant", "content": "Yes."}]}),
    ),
    Case("half of a surrogate pair", "refused", rows('{"prompt": "a", "response": "\\ud83d"}')),
    Case("a line that is no JSON", "refused, with the number of valid rows", rows(ROW, '{"prompt": "a"')),
    Case("JSON nested 100,000 deep", "refused", rows('{"prompt": ' + "[" * 100_000 + "]" * 100_000 + "}")),
    Case("an empty file", "refused", packed(b"", "rows.jsonl")),
    Case("gzip", "refused", packed(gzip.compress(b"{}", mtime=0), "rows.jsonl.gz")),
    Case("Parquet", "refused", packed(b"PAR1 columns PAR1", "rows.parquet")),
    Case("UTF-16", "refused", rows(ROW, encoding="utf-16")),
    Case("CSV", "refused", packed(b"prompt,response\na,b\n", "rows.csv")),
    Case("a JSON array", "refused", packed(json.dumps([ROW, ROW]).encode(), "rows.json")),
    Case("one file for two splits", "logged", same_file),
    Case("a mistyped option", "refused", lambda _: train.parse(["--recipe.temprature", "1"])),
    Case("a JSON file of a run that is empty, after a full disk", "refused", damaged),
    Case("a second run in one folder", "refused", in_use),
    Case("code as a term of an equation", "refused; nothing is evaluated", term("__import__('os').system('ls')")),
    Case("an open parenthesis", "refused", term("sin(angle")),
)


def page() -> str:
    """Return the table as Markdown."""
    lines = ["| input | what happens | message |", "|---|---|---|"]
    for case in CASES:
        with tempfile.TemporaryDirectory() as name:
            lines.append(f"| {case.what} | {case.happens} | {_cell(_message(case, Path(name)), name)} |")
    return "\n".join(lines) + "\n"


def _message(case: Case, folder: Path) -> str:
    with _logged() as records, contextlib.redirect_stderr(io.StringIO()) as printed:
        try:
            case.tried(folder)
        except SystemExit:
            return printed.getvalue().strip()
        except (ValueError, OSError) as error:
            return str(error)
    (message,) = records
    return message


@contextlib.contextmanager
def _logged() -> Iterator[list[str]]:
    """Collect what the library logs as a warning."""
    records: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: records.append(record.getMessage())
    logger = logging.getLogger("jaxkd")
    logger.addHandler(handler)
    try:
        yield records
    finally:
        logger.removeHandler(handler)


def _cell(message: str, folder: str) -> str:
    """Return a message without what differs between two machines."""
    message = re.sub(r"by process \d+ on \S+\.", "by process 4711 on this-host.", message.replace(f"{folder}/", ""))
    return message.replace(folder, "runs/mine/kd/0").replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    sys.stdout.write(page())
