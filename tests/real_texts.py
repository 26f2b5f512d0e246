"""Real texts that are on every machine: docstrings and bodies of functions of Python's standard library."""

import ast
import functools
import inspect
import random
import sysconfig
import textwrap
from pathlib import Path

MODULES = (
    *("argparse", "calendar", "configparser", "contextlib", "csv", "difflib", "doctest", "fractions", "ftplib"),
    *("gettext", "heapq", "inspect", "locale", "mailbox", "optparse", "os", "pathlib", "pickle", "random", "shutil"),
    *("smtplib", "socket", "statistics", "subprocess", "tarfile", "threading", "unittest/case", "uuid", "_pydecimal"),
)

CLOSER = "Please let me know if you have any further questions. Have a great day! :)"
"""A polite closer of 18 words and symbols, as those that models repeat."""


@functools.cache
def functions() -> tuple[tuple[str, str], ...]:
    """Docstring, without doctests, and body of each documented function, in a fixed order."""
    found = {}
    for module in MODULES:
        source = Path(sysconfig.get_paths()["stdlib"], f"{module}.py").read_text(encoding="utf-8")
        lines = source.split("\n")
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef) and (text := ast.get_docstring(node)) and len(node.body) > 1:
                first, last = node.body[1].lineno - 1, node.end_lineno
                found[inspect.cleandoc(text.split(">>>")[0])] = textwrap.dedent("\n".join(lines[first:last]))
    return tuple(found.items())


def docstrings(*, fewest: int = 12) -> list[str]:
    """Docstrings of at least that many words."""
    return [text for text, _ in functions() if len(text.split()) >= fewest]


def bodies(*, fewest: int = 12) -> list[str]:
    """Bodies of at least that many words."""
    return [text for _, text in functions() if len(text.split()) >= fewest]


def contaminated(texts, *, share: float = 1.0, closer: str = CLOSER, between: str = " ", seed: int = 0) -> list[str]:
    """Texts of which a share ends in the closer, once, three or five times; the others are as they were."""
    draw = random.Random(seed)
    chosen = set(draw.sample(range(len(texts)), round(share * len(texts))))
    return [
        text + between + " ".join([closer] * draw.choice((1, 3, 5))) if place in chosen else text
        for place, text in enumerate(texts)
    ]
