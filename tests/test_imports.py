"""Modules that an import loads: the pure layers bring JAX and nothing heavier."""

import subprocess
import sys

import pytest

HEAVY = ("flax", "orbax", "grain", "transformers", "tyro")
PURE = (
    "jaxkd.losses",
    "jaxkd.alignment",
    "jaxkd.alignment.cross_model_attention",
    "jaxkd.projector",
    "jaxkd.geometry",
    "jaxkd.metrics",
    "jaxkd.metrics.hand_pose",
    "jaxkd.rendering",
    "jaxkd.dynamics",
    "jaxkd.kernels",
    "jaxkd.records",
    "jaxkd.sharding",
    "jaxkd.typing",
)
DYNAMICS = ("jaxkd.dynamics", "jaxkd.discover")
EXTRAS = ("diffrax", "sympy")
WITHOUT_EXTRAS = tuple(
    f"jaxkd.{name}"
    for name in (
        *(
            "train",
            "evaluate",
            "generate",
            "distill",
            "export",
            "quantize",
            "cut",
            "segment",
            "show_alignment",
            "two_models",
        ),
        *("data", "evals", "models", "recipes", "report", "study", "training"),
    )
)


def lines(code):
    """Output of a fresh interpreter."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def loaded():
    """Forbidden modules that are loaded after each of the imports, one after the other."""
    code = f"""
import importlib, sys
import jaxkd
print(*(name for name in ("jax", *{HEAVY}) if name in sys.modules))
import jaxkd.metrics
print("jax" in sys.modules)
for module in {PURE}:
    importlib.import_module(module)
    print(*(name for name in {HEAVY} if name in sys.modules))
"""
    return dict(zip(("jaxkd", "jax after jaxkd.metrics", *PURE), lines(code), strict=True))


@pytest.mark.parametrize("module", PURE)
def test_a_pure_layer_loads_nothing_heavy(loaded, module):
    assert loaded[module] == ""


def test_the_package_itself_loads_not_even_jax(loaded):
    assert loaded["jaxkd"] == ""


def test_metrics_load_no_jax_either(loaded):
    assert loaded["jax after jaxkd.metrics"] == "False"


@pytest.fixture(scope="module")
def refusals():
    """Message of each import where a package of the extra is missing."""
    code = f"""
import importlib, sys
for missing in {EXTRAS}:
    sys.modules[missing] = None
    for module in {DYNAMICS}:
        try:
            importlib.import_module(module)
            print("imported")
        except ImportError as error:
            print(error)
    del sys.modules[missing]
"""
    cases = [(module, missing) for missing in EXTRAS for module in DYNAMICS]
    return dict(zip(cases, lines(code), strict=True))


@pytest.mark.parametrize("module", DYNAMICS)
@pytest.mark.parametrize("missing", EXTRAS)
def test_without_its_extra_dynamics_says_how_to_get_it(refusals, module, missing):
    said = f"jaxkd.dynamics needs {missing}. Install the extra: pip install 'jaxkd-distill[dynamics]'."
    assert said in refusals[module, missing]


def test_all_but_dynamics_works_without_the_extra():
    code = f"""
import importlib, sys
sys.modules |= dict.fromkeys({EXTRAS})
for module in {WITHOUT_EXTRAS}:
    print(importlib.import_module(module).__name__)
"""
    assert tuple(lines(code)) == WITHOUT_EXTRAS
