"""Lock of a folder, which the operating system releases when its process ends, however it ends."""

import contextlib
import fcntl
import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path

_log = logging.getLogger(__name__)

FILE = ".lock"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes out of a folder for the duration of a block; creates the folder.

    Raises:
        BlockingIOError: another process has the folder; it is named.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = path.read_text(encoding="utf-8").strip() or "another process"
            raise BlockingIOError(f"{folder} is in use by {owner}. Wait for it, or name another --workdir.") from None
        except OSError as error:
            _log.warning("%s cannot be locked (%s): run nothing else in it at the same time", folder, error.strerror)
        with contextlib.suppress(OSError):  # a full disk: the text only informs others
            os.ftruncate(handle, 0)
            os.write(handle, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        yield
    finally:
        os.close(handle)
