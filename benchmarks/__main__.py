"""`python -m benchmarks NAME`: measure, compare with the bars, print a table."""

from benchmarks import (
    aligndistil_memory,
    aligndistil_speed,
    alignment,
    augmentation,
    beside_pysindy,
    coverage,
    cross_vocabulary_speed,
    dskd_memory,
    dynamics,
    install,
    losses_accuracy,
    losses_gpu,
    losses_memory,
    losses_speed,
    methods_memory,
    models_compile,
    models_forward,
    models_load,
    rollout,
    sampler,
    shared_head,
    surgery,
    symbolic_networks,
    time_to_target,
)
from benchmarks.runner import main

BENCHMARKS = (
    install.BENCHMARK,
    losses_memory.BENCHMARK,
    losses_accuracy.BENCHMARK,
    losses_speed.BENCHMARK,
    losses_gpu.BENCHMARK,
    models_compile.BENCHMARK,
    models_forward.BENCHMARK,
    dskd_memory.BENCHMARK,
    aligndistil_memory.BENCHMARK,
    aligndistil_speed.BENCHMARK,
    methods_memory.BENCHMARK,
    cross_vocabulary_speed.BENCHMARK,
    models_load.BENCHMARK,
    sampler.BENCHMARK,
    rollout.BENCHMARK,
    dynamics.BENCHMARK,
    beside_pysindy.BENCHMARK,
    coverage.BENCHMARK,
    augmentation.BENCHMARK,
    time_to_target.BENCHMARK,
    symbolic_networks.BENCHMARK,
    shared_head.BENCHMARK,
    surgery.BENCHMARK,
    alignment.BENCHMARK,
)

if __name__ == "__main__":
    main(BENCHMARKS)
