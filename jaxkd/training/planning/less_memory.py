"""Options of a training that lower the memory of its step."""

import dataclasses
import logging
from collections.abc import Iterator, Sequence
from typing import Any

import jax

from jaxkd.sharding.devices import devices
from jaxkd.sharding.targets import GIB
from jaxkd.training.train_stage import Train

_log = logging.getLogger(__name__)


def advice(stage: Train, usable: float) -> str:
    """Compile a training with more and more of `options`, and say with which of them it fits, or how far they go.

    Args:
        stage: training that needs more than `usable`.
        usable: bytes of one device.
    """
    best = "there is no option that lowers its memory"
    for flags, smaller in options(stage):
        memory = smaller.plan().memory
        if memory is None:
            break
        _log.info("%s with %s: %.1f GiB a device", stage.name, flags, memory / GIB)
        if memory <= usable:
            return f"{stage.name} fits with {flags}: {memory / GIB:.1f} GiB."
        best = f"with {flags} it needs {memory / GIB:.1f} GiB"
    return f"{stage.name} does not fit: {best}. Train adapters (lora), or take more or larger devices."


def options(stage: Train) -> Iterator[tuple[str, Train]]:
    """Yield options that lower the memory of a training, and the training with them; each adds to those before it.

    Those that leave the result as it is come first: parameters split over the devices, activations that are computed a
    second time, smaller micro-batches.  Matrix products in bfloat16 and a teacher in 8 bits come last.
    """
    values: dict[str, Any] = {}

    def changed(**fields: Any) -> tuple[str, Train]:
        nonlocal stage
        for path, value in fields.items():
            values[path] = value
            stage = _replaced(stage, path.split("."), value)
        return " ".join(f"--{stage.name}.{_spelled(*field)}" for field in values.items()), stage

    if stage.mesh.fsdp == 1 and len(devices()) > 1:
        yield changed(**{"mesh.data": 1, "mesh.fsdp": -1})
    for path in _paths(stage, "remat", unset=False):
        yield changed(**{path: True})
    rows = jax.tree.leaves(stage.recipe.abstract_batch())[0].shape[0]
    for count in range(stage.accumulation + 1, rows + 1):
        if count >= 2 * stage.accumulation and _is_valid(dataclasses.replace(stage, accumulation=count)):
            yield changed(accumulation=count)
    if stage.precision == "float32":
        yield changed(precision="bfloat16")
    for path in _paths(stage, "quantization", unset=None):
        if path.endswith("teacher.quantization"):
            yield changed(**{path: "int8"})


def _spelled(path: str, value: Any) -> str:
    """Return an option as the command line takes it; one that is True has no value."""
    name = path.replace("_", "-")
    return name if value is True else f"{name} {value}"


def _is_valid(stage: Train) -> bool:
    try:
        stage.validate()
    except ValueError:
        return False
    return True


def _replaced(config: Any, path: Sequence[str], value: Any) -> Any:
    """Return a dataclass with the field at `path` replaced, in the dataclasses of its fields."""
    name, *rest = path
    return dataclasses.replace(config, **{name: _replaced(getattr(config, name), rest, value) if rest else value})


def _paths(config: Any, name: str, *, unset: Any, prefix: str = "") -> Iterator[str]:
    """Yield the dotted paths of the fields `name` that are `unset`."""
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.name == name and value is unset:
            yield prefix + name
        elif dataclasses.is_dataclass(value):
            yield from _paths(value, name, unset=unset, prefix=f"{prefix}{field.name}.")
