"""The environment of the tests: eight CPU devices, shapes that are checked."""

import collections
import functools
import gc
import itertools
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import jaxtyping
import pytest

# All of this is read when jax is imported, here and in the programs that tests start.
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["JAX_NUMPY_RANK_PROMOTION"] = "raise"
os.environ["XLA_FLAGS"] += " --xla_force_host_platform_device_count=8"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"  # of what XLA prints, errors alone
# Equinox raises from a callback into Python, and JAX keeps no program that has one: each run would compile every solver
# again.  What it would refuse, as times that do not increase, makes a solution NaN instead, which fails a test too.
os.environ["EQX_ON_ERROR"] = "nan"
# A CPU device waits for the others in a thread of one pool, by default a thread a device.  Two collectives that do not
# depend on each other may wait at once, in different orders on two devices: all threads wait and the process aborts.
os.environ["PJRT_NPROC"] = "64"
# Where eight devices share a busy machine's cores, one may come later than the others wait for it by default, 40 s, and
# the process aborts.
os.environ["XLA_FLAGS"] += " --xla_cpu_collective_call_terminate_timeout_seconds=300"

# A shell that runs the suite in the background has SIGINT ignored, which Python and its children would inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)

# An int is a float to these checks, as it is to a type checker.
jaxtyping.install_import_hook(
    [
        "jaxkd.kernels",
        "jaxkd.losses",
        "jaxkd.alignment",
        "jaxkd.projector",
        "jaxkd.geometry",
        "jaxkd.metrics.average_precision",
        "jaxkd.metrics.hand_pose",
        "jaxkd.rendering.colour",
        "jaxkd.rendering.edges",
        "jaxkd.rendering.layers",
        "jaxkd.rendering.normals",
        "jaxkd.rendering.pixel_means",
        "jaxkd.rendering.rasterization",
        "jaxkd.rendering.render",
        "jaxkd.rendering.sensor_noise",
        "jaxkd.rendering.shading",
        "jaxkd.rendering.skin",
        "jaxkd.rendering.visibility",
        "jaxkd.metrics.rouge",
        "jaxkd.metrics.segmentation",
        "jaxkd.dynamics",
        "jaxkd.models",
        "jaxkd.sampling.decode",
        "jaxkd.sampling.logits",
        "jaxkd.sampling.threshold",
        "jaxkd.distillation.forward",
        # Without the records: JAX fills them with shapes and other leaves than arrays.
        "jaxkd.vision.detection.early_fusion",
        "jaxkd.vision.detection.medium_fusion",
        "jaxkd.vision.detection.modules",
        "jaxkd.vision.detection.union_masks",
        "jaxkd.vision.fusion",
        "jaxkd.vision.layers",
        "jaxkd.vision.detection.anchors",
        "jaxkd.vision.detection.decoding",
        "jaxkd.vision.pixels",
        "jaxkd.vision.segmentation.ege_unet",
        "jaxkd.vision.segmentation.fast_attention",
        "jaxkd.vision.segmentation.granularity_fusion",
        "jaxkd.vision.segmentation.missformer",
        "jaxkd.vision.segmentation.unet",
        "jaxkd.vision.segmentation.vffm_unet",
    ],
    "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))",
)

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)

pytest_plugins = ["tests.assets", "tests.tiny_preferences", "tests.tiny_runs"]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Iterator[pytest.TestReport]:
    """Fail what is skipped where nothing may be passed over, as in CI, which has every asset and every extra."""
    return _nothing_skipped((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Iterator[pytest.CollectReport]:
    """Fail modules that are skipped as a whole there too."""
    return _nothing_skipped((yield))


def _nothing_skipped(report: Report) -> Report:
    if report.skipped and os.environ.get("JAXKD_SKIP_NOTHING") == "1":
        report.outcome, report.longrepr = "failed", f"JAXKD_SKIP_NOTHING=1 allows no skipped test: {report.longrepr}"
    return report


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, lest one process is left with a long one at the end.

    Those have the most tests, but in the slow level the fewest, of which each runs programs.
    """
    tests = collections.Counter(item.path for item in items)
    items.sort(key=lambda item: tests[item.path], reverse=config.getoption("markexpr") != "slow")


def pytest_collection_finish() -> None:
    """Leave what was imported and collected out of garbage collection, which walks it for a second each time.

    Tracing makes so many objects that Python's own threshold has it collect all the time.
    """
    _share_contexts()
    _remember_orders()
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


PROGRAMS_OF_A_CONTEXT = 100
"""An MLIR context keeps the types, names and constants of all programs that were lowered in it."""


def _share_contexts() -> None:
    """Lower many programs in one MLIR context: to make and to free one takes longer than to lower a small program.

    A context may hold any number of modules, also of several threads, and a program's cache key does not depend on it.
    What is lowered while another program is, as constants are, has a context of its own: within a context, operations
    are inserted where the program that is being lowered has got to.  JAX has no option for this: from 0.12 on it takes
    a context several times by itself, and is left alone, as is a version that has no such function.
    """
    try:
        from jax._src.interpreters import mlir

        make = mlir.make_ir_context
    except (ImportError, AttributeError):
        return
    if make() is make():
        return
    shared = functools.lru_cache(maxsize=1)(lambda _: make())
    programs = itertools.count()

    def context() -> mlir.ir.Context:
        try:
            within_another = mlir.ir.Context.current is not None
        except ValueError:  # there is none
            within_another = False
        return make() if within_another else shared(next(programs) // PROGRAMS_OF_A_CONTEXT)

    mlir.make_ir_context = context


def _remember_orders() -> None:
    """Compute once which example stands at a place of an epoch, which depends on the seed and the size alone.

    Grain permutes 65,536 numbers or more and goes on until it meets one that is small enough: with twenty examples that
    takes it over a millisecond each time, and a batch asks for scores.
    """
    try:
        from grain._src.python.experimental.index_shuffle.python import index_shuffle_module
    except ImportError:
        return
    index_shuffle_module.index_shuffle = functools.lru_cache(maxsize=100_000)(index_shuffle_module.index_shuffle)


MOST_MAPS = 5_000
"""Linux maps at most 65,530 pieces of memory for a process, and what is kept costs memory long before that."""


@pytest.fixture(autouse=True, scope="module")
def forgotten_programs() -> Iterator[None]:
    """Unload what the files until now compiled, where it is much: a program takes a few pieces of memory.

    A suite that keeps them all ends in `Fatal Python error: Aborted`.
    """
    yield
    maps = Path("/proc/self/maps")
    if not maps.exists() or maps.read_bytes().count(b"\n") > MOST_MAPS:
        import jax

        jax.clear_caches()
        gc.collect()


@pytest.fixture
def unchecked_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let wrong shapes reach the code, as they do at run time: for tests of its own error messages."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
