"""A disk without room, without filling one."""

import contextlib
import resource


@contextlib.contextmanager
def no_file_longer_than(size):
    """Let writes of this process fail beyond so many bytes of a file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
