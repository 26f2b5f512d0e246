"""Reading of a suite's folder: everything is checked before anything runs, and every fault has its file and line."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from jaxkd.evals.suites import aggregates
from jaxkd.evals.suites.aggregates import Aggregate
from jaxkd.evals.suites.reading.fields import Fault, Fields
from jaxkd.evals.suites.reading.tasks import SAMPLED, read_task
from jaxkd.evals.suites.suite import Suite, Task
from jaxkd.runtime.storage import lined_yaml
from jaxkd.runtime.storage.lined_yaml import LinedError, LinedMapping

FILE = "suite.yaml"

_SUITE = ("name", "version", "description", "defaults", "tasks", "aggregates")
_SHOWN = 20
"""Number of faults that are listed."""


def read(folder: Path) -> Suite:
    """Read a suite.

    Args:
        folder: folder with `suite.yaml`, the files that it names, and their images.

    Raises:
        FileNotFoundError: no folder, or one without `suite.yaml`.
        ValueError: faults, listed with file and line; nothing of the suite may run.
    """
    path = folder / FILE
    if not path.is_file():
        raise FileNotFoundError(f"suite must be a folder with {FILE}, got {folder}.")
    faults: list[Fault] = []
    suite = _suite(path, faults)
    if faults or suite is None:
        more = "" if len(faults) <= _SHOWN else f"\n... and {len(faults) - _SHOWN} more"
        faults.sort(key=lambda fault: (fault.path != path, fault.path, fault.line))
        listed = "\n".join(map(str, faults[:_SHOWN]))
        raise ValueError(f"{folder} must be a suite without faults, got {len(faults)}:\n{listed}{more}")
    return suite


def _suite(path: Path, faults: list[Fault]) -> Suite | None:
    try:
        found = lined_yaml.load(path)
    except LinedError as error:
        faults.append(Fault(path=path, line=error.line, text=str(error)))
        return None
    fields = Fields(found, path, faults)
    fields.known(_SUITE)
    defaults = fields.mapping("defaults")
    if defaults is not None:
        defaults.known(SAMPLED)
    tasks, ids = [], set[str]()
    for one in fields.mappings("tasks"):
        task = read_task(one, defaults)
        if task is not None and task.id in ids:
            one.fault("id", f"the ids of tasks must differ, got {task.id} twice.")
        elif task is not None:
            ids.add(task.id)
            tasks.append(task)
    values = {f"{task.id}.{metric.title}" for task in tasks for metric in task.metrics}
    parsed = _aggregates(fields, values)
    if faults:
        return None
    return Suite(
        name=fields.text("name"),
        version=fields.text("version"),
        description=fields.text("description", default=""),
        folder=path.parent,
        tasks=tuple(tasks),
        aggregates=parsed,
        fingerprint=_fingerprint(path, found, tasks),
    )


def _aggregates(fields: Fields, values: set[str]) -> tuple[Aggregate, ...]:
    named = fields.mapping("aggregates")
    found = []
    if named is None:
        return ()
    for name, text in named.found.items():
        try:
            aggregate = Aggregate(name=name, expression=aggregates.parse(str(text)))
        except ValueError as error:
            named.fault(name, str(error))
            continue
        unknown = [term for term in aggregate.terms if term not in values]
        if unknown and not fields.faults:  # of a task with a fault the metrics are not known
            known = ", ".join(sorted(values)) or "none"
            named.fault(name, f"{name} must name metrics of the tasks, got {', '.join(unknown)}; there are {known}.")
        found.append(aggregate)
    return tuple(found)


def _fingerprint(path: Path, found: LinedMapping, tasks: Sequence[Task]) -> str:
    """Hash all files of a suite under their names."""
    names = {
        FILE,
        *(one["file"] for one in found["tasks"]),
        *(image.relative_to(path.parent).as_posix() for task in tasks for row in task.rows for image in row.images),
    }
    digest = hashlib.sha256()
    for name in sorted(names):
        digest.update(f"{name}\0{hashlib.sha256((path.parent / name).read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()
