"""`python -m benchmarks NAME`: measure, compare with the bars, print a table."""

from benchmarks import install
from benchmarks.runner import main

BENCHMARKS = (install.BENCHMARK,)

if __name__ == "__main__":
    main(BENCHMARKS)
