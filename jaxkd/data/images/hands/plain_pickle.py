"""NumPy files with nested dicts of arrays, read without running what else a pickle may hold."""

import pickle
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

_ALLOWED = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy._core.numeric", "_frombuffer"),
    ("collections", "OrderedDict"),
    ("_codecs", "encode"),
}
"""Functions that rebuild arrays, numbers and dicts."""


class _PlainUnpickler(pickle.Unpickler):
    """Reads arrays, numbers, texts, lists and dicts, and rejects everything else before it is called."""

    def __init__(self, file: BinaryIO, path: Path):
        super().__init__(file, encoding="latin1")
        self._path = path

    def find_class(self, module_name: str, global_name: str) -> Any:
        # NumPy 2 renamed the module that files of NumPy 1 refer to.
        module = module_name.replace("numpy.core", "numpy._core")
        if (module, global_name) not in _ALLOWED:
            raise ValueError(
                f"{self._path} must hold arrays, numbers and texts alone, got {module_name}.{global_name}, which could "
                "run anything. Save it again with arrays of NumPy."
            )
        return super().find_class(module, global_name)


def read_pickled(path: Path) -> Any:
    """Read what `np.save` wrote of one object, such as a dict of arrays, into a file `.npy`.

    Raises:
        ValueError: a file in another format, or one that holds other things than arrays, numbers, texts, lists and
            dicts.
        FileNotFoundError: a missing file.
    """
    with path.open("rb") as file:
        try:
            version = np.lib.format.read_magic(file)
            header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
            _, _, dtype = header[version](file)
        except (ValueError, KeyError, EOFError) as error:
            raise ValueError(f"{path} must be a file of np.save, got {error}.") from error
        if dtype.kind != "O":
            raise ValueError(f"{path} must hold a dict of arrays, got an array of {dtype}.")
        try:
            found = _PlainUnpickler(file, path).load()
        except (pickle.UnpicklingError, EOFError, AttributeError, ImportError, IndexError) as error:
            raise ValueError(f"{path} must be a complete file of np.save, got {error}.") from error
    return found.item() if isinstance(found, np.ndarray) and found.shape == () else found
