"""`python -m tests.properties` prints the table, `python -m tests.properties forward_kl` the tests of a function."""

import sys

from tests.properties.table import page, shown_by

if __name__ == "__main__":
    sys.stdout.write("\n".join(shown_by(name) for name in sys.argv[1:]) or page())
