"""Recognition of files that are not JSON Lines, by their first bytes."""

import re
from pathlib import Path

_CELL = re.compile(rb'"?[\w .-]{1,40}"?')

_CSV = "import csv, json, sys; [print(json.dumps(row)) for row in csv.DictReader(sys.stdin{})]"

_MAGIC = (
    (b"\x1f\x8b", "a gzip archive", "Decompress it, for instance with `gunzip -k '{path}'`."),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive", "Decompress it, for instance with `zstd -dk '{path}'`."),
    (b"PK\x03\x04", "a zip archive", "Extract it, for instance with `unzip '{path}'`."),
    (
        b"PAR1",
        "a Parquet table",
        "Convert it, for instance with `python -c \"import pandas; pandas.read_parquet('{path}')"
        ".to_json('{stem}.jsonl', orient='records', lines=True)\"`.",
    ),
    (b"\xff\xfe", "UTF-16", "Encode it as UTF-8, for instance with `iconv -f UTF-16 -t UTF-8 '{path}'`."),
    (b"\xfe\xff", "UTF-16", "Encode it as UTF-8, for instance with `iconv -f UTF-16 -t UTF-8 '{path}'`."),
)
_ARRAY = ("a JSON array", "Write one object a line, for instance with `jq -c '.[]' '{path}'`.")
_TABLE = "Convert it, for instance with `python -c \"{program}\" < '{path}'`."


def require_json_lines(path: Path, data: bytes) -> None:
    """Reject a file of another format.

    Args:
        path: the file, for the message.
        data: its bytes.

    Raises:
        ValueError: an archive, a Parquet table, UTF-16, a JSON array, or a table with a line of column names.
    """
    found = _other_format(data)
    if found is not None:
        name, advice = found
        fix = advice.format(path=path, stem=path.with_suffix(""))
        raise ValueError(f"{path} must be JSON lines, got {name}. {fix}")


def _other_format(data: bytes) -> tuple[str, str] | None:
    """Return the format and what to do; None for what may be JSON Lines."""
    for magic, name, advice in _MAGIC:
        if data.startswith(magic):
            return name, advice
    first, _, _ = data.removeprefix(b"\xef\xbb\xbf").lstrip().partition(b"\n")
    if first.startswith(b"["):
        return _ARRAY
    for separator, name, options in (
        (b",", "CSV", ""),
        (b"\t", "TSV", ", delimiter='\\t'"),
        (b";", "CSV", ", delimiter=';'"),
    ):
        cells = first.rstrip(b"\r").split(separator)
        if len(cells) > 1 and all(_CELL.fullmatch(cell.strip()) for cell in cells):
            return name, _TABLE.replace("{program}", _CSV.format(options))
    return None
