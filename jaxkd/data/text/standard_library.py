"""Python's standard library as instruction data: signature and docstring in, body out, or the docstring of a body.

It is on every machine, so it needs no download, and it is real text with structure.  The sources are
parsed, never imported.
"""

import ast
import dataclasses
import functools
import inspect
import sysconfig
import textwrap
import tokenize
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from jaxkd.data.examples import Example, Source, merge_near_duplicates, stable_split
from jaxkd.typing import Split

SYSTEM = "You are a helpful assistant."
"""Explicit system message, without which chat templates insert their own."""

INSTRUCTION = "Complete this Python function:\n\n"

DOCSTRING_INSTRUCTION = "Write the docstring of this Python function:\n\n"

Answer: TypeAlias = Literal["body", "docstring"]
"""Part of a function that is to be written."""

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
    answer: Answer = "body"
    """Part to be written: code, from signature and docstring, or the docstring, which is prose, from signature and
    body.  Near duplicates are those of the answers, so the two divide the modules differently: never train on one and
    test on the other."""

    def examples(self, split: Split) -> list[Example]:
        return [example for example in self.all_examples() if stable_split(example.group) == split]

    def all_examples(self) -> tuple[Example, ...]:
        """Return all splits' examples, by module and position.

        Raises:
            ValueError: bounds that admit nothing, another `answer`, or an interpreter without its sources.
        """
        if self.answer not in get_args(Answer):
            raise ValueError(f"answer must be one of {', '.join(get_args(Answer))}, got {self.answer!r}.")
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
        characters = len(parts.head) + 1 + len(parts.body)
        if parts.body.count("\n") + 1 < bounds.min_body_lines:
            continue
        if not bounds.min_characters <= characters <= bounds.max_characters:
            continue
        if bounds.answer == "body":
            prompt, response = INSTRUCTION + parts.head, parts.body
        else:
            prompt, response = f"{DOCSTRING_INSTRUCTION}{parts.signature}\n{parts.body}", parts.docstring
        if not response:
            continue
        seen[name] += 1
        yield Example(
            # A property and its setter, or the two branches of an `if`, share a name.
            key=f"{module}::{name}" + (f"#{seen[name]}" if seen[name] > 1 else ""),
            group=module,
            messages=(("system", SYSTEM), ("user", prompt)),
            response=response,
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


@dataclasses.dataclass(frozen=True)
class _Parts:
    """Texts of a function, all of it moved to the left margin."""

    signature: str
    """Decorators are not part of it."""
    head: str
    """Signature and docstring, as they are written."""
    docstring: str
    """Without quotes and indentation."""
    body: str
    """Body after the docstring."""


def _parts(function: ast.FunctionDef | ast.AsyncFunctionDef, lines: list[str]) -> _Parts | None:
    """Return the parts of a function; None without a docstring or a body."""
    docstring = ast.get_docstring(function, clean=False)
    if docstring is None:
        return None
    first = function.body[0]
    start, docstring_end, end = function.lineno - 1, first.end_lineno, function.end_lineno
    if docstring_end is None or end is None or end == docstring_end:
        return None
    text = textwrap.dedent("\n".join(lines[start:end]))
    if not text.startswith(("def ", "async def ")):
        # A multi-line string extends further left than the function.
        return None
    split = text.split("\n")
    return _Parts(
        signature="\n".join(split[: first.lineno - 1 - start]),
        head="\n".join(split[: docstring_end - start]),
        docstring=inspect.cleandoc(docstring).strip(),
        body="\n".join(split[docstring_end - start :]).strip("\n"),
    )
