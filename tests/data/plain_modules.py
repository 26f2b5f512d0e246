"""Fewer files to be read as Python's standard library: parsing all of them takes seconds."""

import contextlib
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from jaxkd.data.preferences import flawed_code
from jaxkd.data.text import standard_library


@contextlib.contextmanager
def plain_modules(folder: Path) -> Iterator[None]:
    """The interpreter's modules of one file, without its packages, are the library: linked into `folder`."""
    for path in Path(sysconfig.get_paths()["stdlib"]).glob("*.py"):
        (folder / path.name).symlink_to(path)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sysconfig, "get_paths", lambda: {"stdlib": str(folder)})
        yield
    standard_library._scan.cache_clear()
    flawed_code._pairs.cache_clear()
