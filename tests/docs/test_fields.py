"""Every field of a config has a docstring: `--help-all` shows it beside the option, where nothing else explains it."""

import dataclasses
import importlib
import pkgutil
import typing
from collections.abc import Iterator

import jaxkd
from jaxkd.command_line.options import _docs
from jaxkd.data import Jsonl
from jaxkd.on_policy import Ramp
from jaxkd.recipes.logit_kd import LogitKD
from jaxkd.sampling import Sampling
from jaxkd.study import Study
from jaxkd.training import Optimizer, Stage, Train

ROOMS = ("data", "distillation", "on_policy", "recipes", "sampling", "study", "training")


def configs() -> set[type]:
    """The dataclasses that a study may hold, from these rooms."""
    modules = {
        module.name
        for room in ROOMS
        for module in pkgutil.walk_packages([f"{jaxkd.__path__[0]}/{room}"], f"jaxkd.{room}.")
    }
    for module in modules:
        importlib.import_module(module)
    found: set[type] = set()
    left: list[type] = [Study, Stage]
    while left:
        kind = left.pop()
        if kind not in found:
            found.add(kind)
            left += kind.__subclasses__()
            if dataclasses.is_dataclass(kind):
                hints = typing.get_type_hints(kind)
                left += [named for field in dataclasses.fields(kind) for named in classes(hints[field.name])]
    # Another test may have loaded a recipe that a guide writes into the package.
    return {kind for kind in found if dataclasses.is_dataclass(kind) and kind.__module__ in modules}


def classes(hint: object) -> Iterator[type]:
    """The classes of this package in a type."""
    if isinstance(hint, type) and hint.__module__.startswith("jaxkd."):
        yield hint
    for part in typing.get_args(hint):
        yield from classes(part)


def test_every_field_of_a_config_has_a_docstring():
    found = configs()
    assert {LogitKD, Train, Optimizer, Jsonl, Sampling, Ramp} <= found
    without = {
        f"{kind.__qualname__}.{field.name}"
        for kind in found
        for field in dataclasses.fields(kind)
        if field.name not in _docs(kind)
    }
    assert sorted(without) == []
