"""How programs speak: log lines on stderr, and errors that a person can act on."""

import logging
import sys
from collections.abc import Callable

EXPECTED = (ValueError, TypeError, OSError, FloatingPointError)
"""What a user can mend: shown as its message.  Anything else is a bug and keeps its traceback."""


def run_program(body: Callable[[], None]) -> None:
    """Run a program's body with readable logging; a mistake of the caller ends it with one message."""
    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stderr)
    logging.getLogger("jaxkd").setLevel(logging.INFO)
    try:
        body()
    except EXPECTED as error:
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(1) from None
