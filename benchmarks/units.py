"""A long benchmark as units of work, each cached once it is done, so that the same command resumes after a stop."""

import contextlib
import hashlib
import logging
import os
import pickle
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar

import benchmarks
import jaxkd
from benchmarks import environment
from jaxkd.runtime.packages import cache_folder
from jaxkd.runtime.progress import progress

Result = TypeVar("Result")

_log = logging.getLogger(__name__)
_folder: ContextVar[Path | None] = ContextVar("folder", default=None)


def each(title: str, work: Callable[..., Result], units: Sequence[tuple[Any, ...]]) -> list[Result]:
    """Return the result of `work` for each unit's arguments, with a progress bar.

    Args:
        title: title of the bar.
        work: function of a unit; see `kept`.
        units: arguments of each unit; a unit is the least that is worth caching.
    """
    results = []
    with progress(len(units), title) as bar:
        for unit in units:
            results.append(kept(work, *unit))
            bar.update(len(results))
    return results


def kept(work: Callable[..., Result], *arguments: Any) -> Result:
    """Return the result of `work`, from the cache if an earlier run of this benchmark that was stopped computed it.

    Args:
        work: module-level function whose results can be pickled.
        *arguments: arguments whose representations are equal if and only if they are.
    """
    folder = _folder.get()
    if folder is None:
        return work(*arguments)
    said = f"{work.__module__}.{work.__qualname__}{arguments!r}"
    file = folder / hashlib.sha256(said.encode()).hexdigest()
    if file.exists():
        return pickle.loads(file.read_bytes())
    result = work(*arguments)
    folder.mkdir(parents=True, exist_ok=True)
    written = file.with_suffix(".part")
    written.write_bytes(pickle.dumps(result))
    os.replace(written, file)
    return result


@contextlib.contextmanager
def going_on(name: str) -> Iterator[None]:
    """Keep units in the cache folder until the benchmark is done.

    Units of other code, other versions or another machine are not used.

    Args:
        name: name of the benchmark and its mode.
    """
    folder = cache_folder() / "benchmarks" / f"{name}-{_state()}"
    if folder.exists():
        _log.info("goes on after %d units of work of an earlier run, kept in %s", len(list(folder.iterdir())), folder)
    token = _folder.set(folder)
    try:
        yield
    finally:
        _folder.reset(token)
    shutil.rmtree(folder, ignore_errors=True)


def _state() -> str:
    """Return a digest of everything that a result depends on."""
    digest = hashlib.sha256(repr(environment.here()).encode())
    for package in (benchmarks, jaxkd):
        for file in sorted(Path(package.__path__[0]).rglob("*.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
