"""`python -m benchmarks NAME`: measure, compare with the bars, print a table."""

from benchmarks.constitution import constitutional_ai
from benchmarks.detection import detection
from benchmarks.dynamics import (
    augmentation,
    beside_pysindy,
    chaotic,
    coverage,
    dynamics,
    symbolic_networks,
    time_to_target,
)
from benchmarks.faults import kills
from benchmarks.hands import hands
from benchmarks.losses import losses_accuracy, losses_gpu, losses_memory, losses_speed, shared_head
from benchmarks.methods import (
    aligndistil_memory,
    aligndistil_speed,
    alignment,
    cross_vocabulary_speed,
    dskd_memory,
    methods_memory,
)
from benchmarks.models import install, models_compile, models_forward, models_load, rollout, sampler, surgery
from benchmarks.runner import main
from benchmarks.segmentation import segmentation, segmentation_networks
from benchmarks.suites import suites
from benchmarks.tests import mutants, suite

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
    chaotic.BENCHMARK,
    coverage.BENCHMARK,
    augmentation.BENCHMARK,
    time_to_target.BENCHMARK,
    symbolic_networks.BENCHMARK,
    shared_head.BENCHMARK,
    surgery.BENCHMARK,
    alignment.BENCHMARK,
    suite.BENCHMARK,
    mutants.BENCHMARK,
    kills.BENCHMARK,
    suites.BENCHMARK,
    segmentation_networks.BENCHMARK,
    segmentation.BENCHMARK,
    detection.BENCHMARK,
    hands.BENCHMARK,
    constitutional_ai.BENCHMARK,
)

if __name__ == "__main__":
    main(BENCHMARKS)
