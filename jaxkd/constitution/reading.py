"""Constitutions from files: Anthropic's JSON, Hugging Face's JSON, or YAML as this package has it."""

import functools
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxkd.constitution.principles import Constitution, PreferencePrinciple, Principle
from jaxkd.data.examples import Messages
from jaxkd.data.text import json_rows
from jaxkd.runtime.packages import file_sha256
from jaxkd.runtime.storage import lined_yaml

EIGHT_PRINCIPLES = "eight-principles"
"""Name of this package's constitution for prose."""

FUNCTION_PRINCIPLES = "function-principles"
"""Name of this package's constitution for Python functions, whose truth `CodeCritic` knows."""

_PACKAGED = {EIGHT_PRINCIPLES: "eight_principles.yaml", FUNCTION_PRINCIPLES: "function_principles.yaml"}

_FIELDS = ("name", "principles", "preferences", "demos")
_OPTIONAL = ("weight", "tags")
_MARKERS = {
    "critique": re.compile(r"\s*(?:CritiqueRequest:)?\s*(.*?)\s*(?:Critique:)?\s*", re.DOTALL),
    "revision": re.compile(r"\s*(?:RevisionRequest:)?\s*(.*?)\s*(?:Revision:)?\s*", re.DOTALL),
}
"""Requests within the markers of Anthropic's file."""


def read_constitution(path: str | Path) -> Constitution:
    r"""Read a constitution, whichever of three shapes its file has.

    1. Anthropic's `CritiqueRevisionInstructions.json`: an object with entries `harmful0`, `harmful1`, ..., each of the
       form `{"prompt": ["..."], "edit_request": "..."}`.  The markers around the requests, such as `CritiqueRequest:`,
       are stripped.  Several prompts of an entry share its weight.
    2. Hugging Face's JSON: `{"constitutions": [{"critic": "...", "revision": "..."}], "system_chat": [...]}`.
    3. YAML::

         name: mine
         principles:
           - {id: honesty, critique: "...", revision: "...", weight: 1.0, tags: [truth]}
         preferences:
           - {id: honest, text: "...", weight: 1.0}
         demos: [[{role: user, content: "..."}, {role: assistant, content: "..."}]]

    Args:
        path: path of the file, or one of this package's: `eight-principles`, or `function-principles` for code.

    Returns:
        The principles.  Those of a file without ids are named by its keys, or `principle1`, `principle2`, ...

    Raises:
        FileNotFoundError: no such file.
        ValueError: another shape, an empty request, an unfilled placeholder, a duplicate id or a weight that is not
            above 0, by file and entry.

    Source: anthropics/ConstitutionalHarmlessnessPaper, prompts; huggingface/llm-swarm, examples/constitutional-ai.
    Deviation: none.

    Example:
        >>> [principle.id for principle in read_constitution("eight-principles").principles][:4]
        ['safety', 'honesty', 'privacy', 'respect']
    """
    found = located(path)
    return _read(found, file_sha256(found))


def located(path: str | Path) -> Path:
    """Return the file of a constitution.

    Raises:
        FileNotFoundError: no such file.
    """
    if path in _PACKAGED:
        return Path(__file__).with_name(_PACKAGED[str(path)])
    found = Path(path).expanduser()
    if not found.is_file():
        raise FileNotFoundError(
            f"constitution must name an existing file, or be {' or '.join(map(repr, _PACKAGED))}, got {str(path)!r} "
            f"({found.absolute()})."
        )
    return found


@functools.lru_cache(maxsize=8)
def _read(path: Path, sha256: str) -> Constitution:
    """Read a file once per process while its contents stay: a principle is drawn for each row."""
    del sha256  # only in the key
    try:
        found = _loaded(path)
        match found:
            case {"constitutions": list(entries)}:
                return _from_hugging_face(path, entries, found.get("system_chat", []))
            case {"principles": _} | {"preferences": _}:
                return _from_yaml(path, found)
            case dict() if found and all(_is_anthropic(entry) for entry in found.values()):
                return _from_anthropic(path, found)
    except lined_yaml.LinedError as error:
        raise ValueError(f"{path}, line {error.line}: {error}") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    raise ValueError(
        f'{path} must be Anthropic\'s JSON (objects of "prompt" and "edit_request"), Hugging Face\'s ("constitutions", '
        f'of "critic" and "revision"), or a mapping with "principles" or "preferences", got {_shape(found)}.'
    )


def _loaded(path: Path) -> Any:
    """Return the JSON or YAML of a file; YAML that is a mapping knows its lines."""
    if path.suffix != ".json":
        return lined_yaml.load(path)
    try:
        return json.loads(path.read_bytes().decode("utf-8-sig"))
    except ValueError as error:
        raise ValueError(f"a constitution must be JSON if its file is called so, got {error}.") from error


def _is_anthropic(entry: Any) -> bool:
    return isinstance(entry, dict) and entry.keys() >= {"prompt", "edit_request"}


def _shape(found: Any) -> str:
    """Describe another shape by its outermost names."""
    if isinstance(found, list):
        return f"a list of {len(found)}, the first of which is {json_rows.kind(found[0])}" if found else "an empty list"
    if isinstance(found, dict) and len(found) > 8:
        return f"an object with {len(found)} fields, {sorted(found)[:8]} among them"
    return json_rows.kind(found)


def _from_anthropic(path: Path, found: Mapping[str, Any]) -> Constitution:
    principles = []
    for name, entry in found.items():
        prompts = entry["prompt"] if isinstance(entry["prompt"], list) else [entry["prompt"]]
        if not prompts:
            raise ValueError(f'"prompt" of {name!r} must hold at least one request, got an empty list.')
        revision = _request(entry["edit_request"], "revision", f'"edit_request" of {name!r}')
        for number, prompt in enumerate(prompts, start=1):
            principles.append(
                Principle(
                    id=name if len(prompts) == 1 else f"{name}.{number}",
                    critique=_request(prompt, "critique", f'"prompt" of {name!r}'),
                    revision=revision,
                    weight=1 / len(prompts),
                )
            )
    return Constitution(name=path.stem, principles=tuple(principles))


def _request(value: Any, side: str, name: str) -> str:
    """Return a request without its markers."""
    found = _MARKERS[side].fullmatch(json_rows.text(value, name))
    return found.group(1) if found else ""


def _from_hugging_face(path: Path, entries: list[Any], dialogues: Any) -> Constitution:
    principles = []
    for number, entry in enumerate(entries, start=1):
        _require_fields(entry, f'"constitutions"[{number - 1}]', ("critic", "revision"))
        texts = [json_rows.text(entry[name], f'"{name}" of "constitutions"[{number - 1}]') for name in entry]
        sides = dict(zip(entry, texts, strict=True))
        principles.append(
            Principle(id=f"principle{number}", critique=sides["critic"].strip(), revision=sides["revision"].strip())
        )
    return Constitution(
        name=path.stem, principles=tuple(principles), demonstrations=_dialogues(dialogues, "system_chat")
    )


def _from_yaml(path: Path, found: Mapping[str, Any]) -> Constitution:
    unknown = sorted(found.keys() - {*_FIELDS})
    if unknown:
        raise ValueError(f"a constitution must have the fields {', '.join(_FIELDS)} alone, got {', '.join(unknown)}.")
    principles = [
        _principle(entry, f"principles[{index}]") for index, entry in enumerate(_entries(found, "principles"))
    ]
    preferences = [
        _preference(entry, f"preferences[{index}]") for index, entry in enumerate(_entries(found, "preferences"))
    ]
    return Constitution(
        name=json_rows.text(found.get("name", path.stem), "name"),
        principles=tuple(principles),
        preferences=tuple(preferences),
        demonstrations=_dialogues(found.get("demos", []), "demos"),
    )


def _entries(found: Mapping[str, Any], name: str) -> list[Any]:
    value = found.get(name, [])
    if not isinstance(value, list):
        raise ValueError(f"{name} must be a list, got {json_rows.kind(value)}.")
    return value


def _principle(entry: Any, name: str) -> Principle:
    _require_fields(entry, name, ("id", "critique", "revision"), _OPTIONAL)
    tags = entry.get("tags", [])
    if not isinstance(tags, list):
        raise ValueError(f"the tags of {name} must be a list of texts, got {json_rows.kind(tags)}.")
    texts = {field: json_rows.text(entry[field], f"{field} of {name}") for field in ("id", "critique", "revision")}
    return Principle(
        **{field: text.strip() for field, text in texts.items()},
        weight=_weight(entry, name),
        tags=tuple(json_rows.text(tag, f"a tag of {name}") for tag in tags),
    )


def _preference(entry: Any, name: str) -> PreferencePrinciple:
    _require_fields(entry, name, ("id", "text"), ("weight",))
    id, text = (json_rows.text(entry[field], f"{field} of {name}").strip() for field in ("id", "text"))
    return PreferencePrinciple(id=id, text=text, weight=_weight(entry, name))


def _weight(entry: Mapping[str, Any], name: str) -> float:
    weight = entry.get("weight", 1.0)
    if isinstance(weight, bool) or not isinstance(weight, int | float):
        raise ValueError(f"the weight of {name} must be a number, got {json_rows.kind(weight)}.")
    return float(weight)


def _require_fields(entry: Any, name: str, fields: tuple[str, ...], optional: tuple[str, ...] = ()) -> None:
    if not isinstance(entry, dict) or not {*fields} <= entry.keys() <= {*fields, *optional}:
        others = f", and may have {', '.join(optional)}" if optional else ""
        raise ValueError(f"{name} must have the fields {', '.join(fields)}{others}, got {json_rows.kind(entry)}.")


def _dialogues(found: Any, name: str) -> tuple[Messages, ...]:
    if not isinstance(found, list):
        raise ValueError(f'"{name}" must be a list of dialogues, got {json_rows.kind(found)}.')
    return tuple(json_rows.turns(one, f"{name}[{index}]", at_least=2) for index, one in enumerate(found))
