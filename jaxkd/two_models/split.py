"""One file of examples divided into training, validation and test files."""

from pathlib import Path
from typing import get_args

from jaxkd.data import Jsonl
from jaxkd.data.examples import stable_split
from jaxkd.typing import Split


def split_file(path: Path, folder: Path) -> Jsonl:
    """Divide a file by a hash of each row's prompt: 80 % train, 10 % validation, 10 % test.

    Rows with equal prompts are in one split, and a row stays in its split when others are added.

    Args:
        path: JSON Lines, as `Jsonl` reads them.
        folder: folder of the three files, made if missing.

    Raises:
        ValueError: rows that cannot be read, or a split that gets none.
        FileNotFoundError: the file does not exist.
    """
    examples = Jsonl(train=str(path)).examples("train")
    lines = [line for line in path.expanduser().read_bytes().split(b"\n") if line.strip()]
    rows: dict[Split, list[bytes]] = {split: [] for split in get_args(Split)}
    for example, line in zip(examples, lines, strict=True):
        rows[stable_split(repr(example.messages))].append(line)
    if empty := [split for split, found in rows.items() if not found]:
        raise ValueError(
            f"data must have rows for each split, got {len(examples)} in {path} and none for {' and '.join(empty)}. "
            "Give more rows, or --validation and --test."
        )
    folder.mkdir(parents=True, exist_ok=True)
    files = {split: folder / f"{split}.jsonl" for split in rows}
    for split, found in rows.items():
        files[split].write_bytes(b"\n".join([*found, b""]))
    return Jsonl(train=str(files["train"]), validation=str(files["validation"]), test=str(files["test"]))
