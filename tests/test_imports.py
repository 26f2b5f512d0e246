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
