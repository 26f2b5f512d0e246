"""Options of a config: the leaves of its dataclasses, by the names that the command line gives them."""

import ast
import dataclasses
import functools
import inspect
import itertools
import pathlib
import textwrap
import types
import typing
from collections.abc import Iterator
from typing import Any, Literal, Union, get_args, get_origin


@dataclasses.dataclass(frozen=True, kw_only=True)
class Option:
    """One field that the command line can set."""

    name: str
    """Dotted path with hyphens, such as `recipe.data.max-prompt`; `--` in front makes the option."""
    value: Any
    doc: str
    """First sentence of the field's docstring; empty without one."""

    @property
    def leaf(self) -> str:
        """Last part of the path."""
        return self.name.rpartition(".")[2]


def options(config: Any) -> tuple[Option, ...]:
    """Return the options of a dataclass and of the dataclasses in it, in their order.

    A field is one if its type is made of numbers, strings, booleans, paths and tuples of them; the items of a tuple of
    dataclasses are numbered.

    Example:
        >>> from jaxkd.losses import ForwardKL
        >>> [option.name for option in options(ForwardKL())]
        ['temperature', 'gradient-to']
    """
    return tuple(_options(config, ""))


def _options(config: Any, prefix: str) -> Iterator[Option]:
    kinds, docs = _types(type(config)), _docs(type(config))
    for field in dataclasses.fields(config):
        if not field.init:
            continue
        name, value = prefix + field.name.replace("_", "-"), getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            yield from _options(value, f"{name}.")
        elif isinstance(value, tuple) and any(map(dataclasses.is_dataclass, value)):
            for number, item in enumerate(value):
                yield from _options(item, f"{name}.{number}.")
        elif _is_plain(kinds[field.name]):
            yield Option(name=name, value=value, doc=docs.get(field.name, ""))


@functools.cache
def _types(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _is_plain(kind: Any) -> bool:
    """Whether the command line can spell a value of a type."""
    if get_origin(kind) is Literal:
        return True
    if get_origin(kind) in (tuple, Union, types.UnionType):
        return all(_is_plain(item) for item in get_args(kind) if item is not Ellipsis)
    return kind in (str, int, float, bool, type(None), pathlib.Path)


@functools.cache
def _docs(kind: type) -> dict[str, str]:
    """First sentences of the strings below the fields of a class and its bases."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if not dataclasses.is_dataclass(base):
            continue
        try:
            source = textwrap.dedent(inspect.getsource(base))
        except (OSError, TypeError):
            continue  # made at run time
        (node,) = ast.parse(source).body
        body = node.body if isinstance(node, ast.ClassDef) else []
        for one, after in itertools.pairwise(body):
            match one, after:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str() as text)):
                    found[name] = " ".join(text.split()).partition(". ")[0].rstrip(".")
    return found
