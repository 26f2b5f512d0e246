"""How programs speak: log lines on stderr, and errors that a person can act on."""

import logging
import os
import sys
from collections.abc import Callable

from jaxkd.runtime.compilation_cache import keep_compiled_programs

EXPECTED = (ValueError, TypeError, OSError, FloatingPointError)
"""What a user can mend: shown as its message.  Anything else is a bug and keeps its traceback."""


def run_program(body: Callable[[], None]) -> None:
    """Run a program's body with readable logging; a mistake of the caller ends it with one message."""
    # transformers would announce at every start that it found no torch, which nobody here wants.
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
