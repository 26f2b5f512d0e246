"""Import of the harnesses, which are optional."""

import importlib
from types import ModuleType


def needed(module: str, *, extra: str) -> ModuleType:
    """Return a module of a harness.

    Args:
        module: dotted name.
        extra: extra that installs it.

    Raises:
        ImportError: the harness is not installed.
    """
    package = module.partition(".")[0]
    try:
        importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise ImportError(
            f"jaxkd.harness needs {package}. Install the extra: pip install 'jaxkd-distill[{extra}]'."
        ) from error
    return importlib.import_module(module)
