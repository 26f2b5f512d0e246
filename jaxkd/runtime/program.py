"""Output of programs: log lines on stderr, and errors that a user can act on."""

import logging
import os
import sys
from collections.abc import Callable

from jaxkd.runtime.compilation_cache import keep_compiled_programs

EXPECTED = (ValueError, TypeError, OSError, FloatingPointError)
"""Errors that a user can fix, shown as messages.  Others are bugs and keep their traceback."""


def run_program(body: Callable[[], None]) -> None:
    """Run a program's body with readable logging; a user's mistake ends it with one message."""
    # transformers would otherwise report at every start that it found no torch.
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    keep_compiled_programs()
    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stderr)
    logging.getLogger("jaxkd").setLevel(logging.INFO)
    try:
        body()
    except EXPECTED as error:
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        sys.stderr.write("interrupted. Run the same command to go on.\n")
        raise SystemExit(130) from None
