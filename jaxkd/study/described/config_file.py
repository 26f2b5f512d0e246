"""A study as the Python file of `configs/` that returns it."""

import dataclasses
import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jaxkd.runtime import configs
from jaxkd.study.study import Study

_WIDTH = 120
_INDENT = "    "


@dataclasses.dataclass(frozen=True, kw_only=True)
class Constant:
    """A value that a config file names at its top."""

    name: str
    value: Any


def config_file(
    study: Study,
    *,
    docstring: str,
    command: str,
    constants: Sequence[Constant],
    assignments: Mapping[str, str],
    expressions: Mapping[str, str],
) -> str:
    """Write a config file.

    Args:
        study: study that `get_config` returns.
        docstring: one line about the study.
        command: command that the docstring quotes.
        constants: values named at the top, each of which may occur in the later ones and in the study.
        assignments: variables of `get_config` and the expressions that they are assigned.
        expressions: names of fields, and the expressions that take the place of their values wherever they occur.
    """
    writer = _Writer(expressions=expressions)
    parts = []
    for constant in constants:
        parts += writer.lines(constant.value, f"{constant.name} = ")
        writer.named.append((constant.value, constant.name))
    body = [f"{_INDENT}{name} = {text}" for name, text in assignments.items()]
    body += writer.lines(study, "return ", depth=1)
    imports = [f"from {module} import {', '.join(sorted(names))}" for module, names in sorted(writer.imports.items())]
    quoted = textwrap.wrap(
        command, _WIDTH - 2, initial_indent=_INDENT, subsequent_indent=2 * _INDENT, break_on_hyphens=False
    )
    return "\n".join(
        [
            f'r"""{docstring}' if len(quoted) > 1 or "\\" in command else f'"""{docstring}',
            "",
            " \\\n".join(quoted),
            '"""',
            "",
            "from typing import Literal",
            "",
            *imports,
            "",
            *parts,
            "",
            "",
            'def get_config(size: Literal["full", "smoke"] = "full") -> Study:',
            f'{_INDENT}"""Return the study, whole or in miniature."""',
            *body,
            "",
        ]
    )


@dataclasses.dataclass
class _Writer:
    """Writer of values as Python expressions; it collects what must be imported."""

    expressions: Mapping[str, str]
    named: list[tuple[Any, str]] = dataclasses.field(default_factory=list)
    """Values that have a name already."""
    imports: dict[str, set[str]] = dataclasses.field(default_factory=dict)

    def lines(self, value: Any, before: str, after: str = "", depth: int = 0) -> list[str]:
        """Write a value on one line if it fits, else with each item on its own."""
        indent = _INDENT * depth
        line = f"{indent}{before}{self._flat(value)}{after}"
        opening, items, closing = self._parts(value)
        if len(line) > _WIDTH and isinstance(value, str) and " " in value:
            opening, closing = "(", ")"
            inner = [[indent + _INDENT + one] for one in _pieces(value, _WIDTH - len(indent) - 2 * len(_INDENT))]
        elif len(line) > _WIDTH and items:
            inner = [self.lines(item, prefix, ",", depth + 1) for prefix, item in items]
        else:
            return [line]
        return [f"{indent}{before}{opening}", *(one for lines in inner for one in lines), f"{indent}{closing}{after}"]

    def _flat(self, value: Any) -> str:
        opening, items, closing = self._parts(value)
        comma = "," if opening == "(" and len(items) == 1 else ""
        return opening + ", ".join(f"{prefix}{self._flat(item)}" for prefix, item in items) + comma + closing

    def _parts(self, value: Any) -> tuple[str, list[tuple[str, Any]], str]:
        """Return what opens a value, its items with what stands in front of each, and what closes it."""
        if isinstance(value, _Expression):
            return value.text, [], ""
        for known, name in self.named:
            if type(known) is type(value) and known == value:
                return name, [], ""
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            module, _, name = configs.public_path(type(value)).partition(":")
            self.imports.setdefault(module, set()).add(name)
            return f"{name}(", list(self._changed(value)), ")"
        if isinstance(value, tuple):
            return "(", [("", item) for item in value], ")"
        return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value), [], ""

    def _changed(self, config: Any) -> Iterator[tuple[str, Any]]:
        """Yield the fields that differ from their defaults."""
        for field in dataclasses.fields(config):
            value = getattr(config, field.name)
            default = field.default_factory() if callable(field.default_factory) else field.default
            if value != default:
                text = self.expressions.get(field.name)
                yield f"{field.name}=", value if text is None else _Expression(text)


def _pieces(text: str, width: int) -> list[str]:
    """Divide a text into string literals that Python joins."""
    words = textwrap.wrap(text, width, drop_whitespace=False, break_long_words=False, break_on_hyphens=False)
    return [json.dumps(one, ensure_ascii=False) for one in words]


@dataclasses.dataclass(frozen=True)
class _Expression:
    """Text that stands for a value."""

    text: str
