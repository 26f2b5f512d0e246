"""`python -m benchmarks NAME`: measure, compare with the bars, print a table."""

from benchmarks import install, models_load, sampler, surgery
from benchmarks.runner import main

BENCHMARKS = (install.BENCHMARK, models_load.BENCHMARK, sampler.BENCHMARK, surgery.BENCHMARK)

if __name__ == "__main__":
    main(BENCHMARKS)
