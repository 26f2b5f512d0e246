"""What an import loads: the pure layers bring JAX and nothing heavier."""

import subprocess
import sys

import pytest

HEAVY = ("flax", "orbax", "grain", "transformers", "tyro")


@pytest.mark.parametrize(
    "module",
    [
        "jaxkd.losses",
        "jaxkd.alignment",
        "jaxkd.alignment.cross_model_attention",
        "jaxkd.projector",
        "jaxkd.dynamics",
        "jaxkd.kernels",
        "jaxkd.records",
        "jaxkd.sharding",
        "jaxkd.typing",
    ],
)
def test_a_pure_layer_loads_nothing_heavy(module):
    code = f"import sys, {module}; print(*(name for name in {HEAVY} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_package_itself_loads_not_even_jax():
    code = "import sys, jaxkd; print('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("module", ["jaxkd.dynamics", "jaxkd.discover"])
@pytest.mark.parametrize("missing", ["diffrax", "sympy"])
def test_without_its_extra_dynamics_says_how_to_get_it(module, missing):
    code = f"import sys; sys.modules[{missing!r}] = None; import {module}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    said = f"jaxkd.dynamics needs {missing}. Install the extra: pip install 'jaxkd-distill[dynamics]'."
    assert said in done.stderr.splitlines()[-1]
