"""Connections between the supervisor and the harness, and the code that starts either."""

import os

REPORT, TOKEN = 3, 4
"""File descriptors of the harness: a report, line by line, and the token that begins its last line."""
TOKEN_BYTES = 32
MISSING = b"missing\n"
"""Report in place of the first line where the kernel cannot count processes before they start."""
LISTENER = 5
"""File descriptor of the harness: a socket, to send the right to decide about new processes."""

_ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), *[os.pardir] * 3))


def bootstrap(module: str) -> str:
    """Return the code for `python -c` that runs a module of this room."""
    return f"import sys; sys.path.insert(0, {_ROOT!r}); from jaxkd.runtime.confinement.{module} import main; main()"
