"""Suites by name: those that the package builds, and folders."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

from jaxkd.evals.suites.reading import folder
from jaxkd.evals.suites.suite import Suite
from jaxkd.runtime.packages import cache_folder


@dataclasses.dataclass(frozen=True, kw_only=True)
class BuiltSuite:
    """A suite that is built from the texts of ordinary packages."""

    version: int
    """Version of what `write` writes: another one is built anew."""
    write: Callable[[Path], None]
    """Function that writes the suite into a folder."""


def _write_transport(path: Path) -> None:
    # Its drawings load Matplotlib, which other suites do without.
    from jaxkd.evals.suites.transport import write_suite

    write_suite(path)


BUILT = {"transport": BuiltSuite(version=1, write=_write_transport)}
"""Suites that the package builds, by name."""


def named(name: str) -> Suite:
    """Read a suite.

    Args:
        name: folder of a suite, or one of `BUILT`, which is written to the cache when it is first used.

    Raises:
        FileNotFoundError: neither.
        ValueError: a folder with faults.
        ConnectionError: a package of texts that could not be downloaded.
    """
    if (Path(name) / folder.FILE).is_file():
        return folder.read(Path(name))
    if name not in BUILT:
        raise FileNotFoundError(
            f"suite must be a folder with {folder.FILE}, or one of {', '.join(BUILT)}, got {name!r}."
        )
    built = cache_folder() / "suites" / f"{name}-{BUILT[name].version}"
    if not (built / folder.FILE).is_file():
        build(name, built)
    return folder.read(built)


def build(name: str, path: Path) -> None:
    """Write a suite of `BUILT` into a folder.

    Raises:
        ValueError: a name that is none of them.
        ConnectionError: a package of texts that could not be downloaded.
    """
    if name not in BUILT:
        raise ValueError(f"suite must be one of {', '.join(BUILT)} to be written, got {name!r}.")
    BUILT[name].write(path)
