"""Suites by name: those that the package builds, and folders."""

from pathlib import Path

from jaxkd.evals.suites import folder
from jaxkd.evals.suites.suite import Suite
from jaxkd.evals.suites.transport import VERSION, write_suite
from jaxkd.runtime.packages import cache_folder

BUILT = {"transport": (VERSION, write_suite)}
"""Version of each suite that is built from the texts of ordinary packages, and the function that writes its folder."""


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
    version, write = BUILT[name]
    built = cache_folder() / "suites" / f"{name}-{version}"
    if not (built / folder.FILE).is_file():
        write(built)
    return folder.read(built)
