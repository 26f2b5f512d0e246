"""Python's standard library as instruction data: signature and docstring in, body out.

It is on every machine, so it needs no download, and it is real text with structure.  The sources are
parsed, never imported.
"""

import ast
import dataclasses
import functools
import sysconfig
import textwrap
import tokenize
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from jaxkd.data.examples import Example, Source, merge_near_duplicates, stable_split
from jaxkd.typing import Split

SYSTEM = "You are a helpful assistant."
"""Explicit system message, without which chat templates insert their own."""

INSTRUCTION = "Complete this Python function:\n\n"

_LEFT_OUT = {"site-packages", "dist-packages", "test", "tests", "idle_test", "__pycache__"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class StandardLibrary(Source):
    """The documented functions of the running interpreter's standard library.

    A module is a group, so all its functions are in one split, and modules that share a function are
    one group.  The functions depend on the version of Python.
    """

    min_characters: int = 80
    """Minimum length of a function, with signature and docstring."""
    max_characters: int = 1200
    """Maximum length of a function."""
    min_body_lines: int = 3
    """Minimum lines of a body: one line is often an unpredictable call."""

    def examples(self, split: Split) -> list[Example]:
        return [example for example in self.all_examples() if stable_split(example.group) == split]

    def all_examples(self) -> tuple[Example, ...]:
        """Return all splits' examples, by module and position.

        Raises:
            ValueError: bounds that admit nothing, or an interpreter without its sources.
        """
        if not 0 < self.min_characters <= self.max_characters:
            raise ValueError(
                f"min_characters must be positive and at most max_characters, got {self.min_characters} and "
                f"{self.max_characters}."
            )
        if self.min_body_lines < 1:
            raise ValueError(f"min_body_lines must be at least 1, got {self.min_body_lines}.")
        return _scan(Path(sysconfig.get_paths()["stdlib"]), self)


def signature(example: Example) -> str:
    """Return the signature and docstring that an example of `StandardLibrary` asks to complete."""
    return example.messages[-1][1].removeprefix(INSTRUCTION)


@functools.lru_cache(maxsize=4)
def _scan(folder: Path, bounds: StandardLibrary) -> tuple[Example, ...]:
    """Scan once per process: parsing takes seconds, and every split reads all of the library."""
    found = []
    for path in sorted(folder.rglob("*.py")):
        module = path.relative_to(folder)
        if _LEFT_OUT.isdisjoint(module.parts):
            found.extend(_functions(path, module.as_posix(), bounds))
    if not found:
        raise ValueError(
            f"StandardLibrary must find documented functions of {bounds.min_characters} to {bounds.max_characters} "
            f"characters, got none in {folder}. Widen the bounds; where Python comes without its sources, use Jsonl "
            "with your own data."
        )
    merged, _ = merge_near_duplicates(found)
    return tuple(merged)


def _functions(path: Path, module: str, bounds: StandardLibrary) -> Iterator[Example]:
    try:
        with tokenize.open(path) as file:
            source = file.read()
        with warnings.catch_warnings():
            # Invalid escapes in the library's sources do not concern the user.
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
    except (SyntaxError, UnicodeDecodeError):
        # Templates, and files that are broken on purpose.
        return
    # Not `str.splitlines`: it also splits at form feeds, which are not line ends to `ast`.
    lines = source.split("\n")
    seen: Counter[str] = Counter()
    for name, function in _definitions(tree, ()):
        parts = _parts(function, lines)
        if parts is None:
            continue
        head, body = parts
        characters = len(head) + 1 + len(body)
        if body.count("\n") + 1 < bounds.min_body_lines:
            continue
        if not bounds.min_characters <= characters <= bounds.max_characters:
            continue
        seen[name] += 1
        yield Example(
            # A property and its setter, or the two branches of an `if`, share a name.
            key=f"{module}::{name}" + (f"#{seen[name]}" if seen[name] > 1 else ""),
            group=module,
            messages=(("system", SYSTEM), ("user", INSTRUCTION + head)),
            response=body,
        )


def _definitions(node: ast.AST, scope: tuple[str, ...]) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Yield functions and methods with their qualified names, in source order."""
    for child in ast.iter_child_nodes(node):
        inner = scope
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inner = (*scope, child.name)
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield ".".join(inner), child
        yield from _definitions(child, inner)


def _parts(function: ast.FunctionDef | ast.AsyncFunctionDef, lines: list[str]) -> tuple[str, str] | None:
    """Return (signature and docstring, body); None if either is missing."""
    if ast.get_docstring(function, clean=False) is None:
        return None
    start, docstring_end, end = function.lineno - 1, function.body[0].end_lineno, function.end_lineno
    if docstring_end is None or end is None or end == docstring_end:
        return None
    text = textwrap.dedent("\n".join(lines[start:end]))
    if not text.startswith(("def ", "async def ")):
        # A multi-line string extends further left than the function.
        return None
    split = text.split("\n")
    head, body = split[: docstring_end - start], split[docstring_end - start :]
    return "\n".join(head), "\n".join(body).strip("\n")
