"""Suites by name: those that the package builds, and folders."""

import importlib
from pathlib import Path

from jaxkd.evals.suites.reading import folder
from jaxkd.evals.suites.suite import Suite
from jaxkd.runtime.packages import cache_folder

BUILT = {"transport": 1}
"""Version of each suite that is built from the texts of ordinary packages, by its name, which is its module's too."""


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
    built = cache_folder() / "suites" / f"{name}-{BUILT[name]}"
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
    # Drawing loads Matplotlib, which other suites do without.
    importlib.import_module(f"jaxkd.evals.suites.{name}").write_suite(path)
