"""Compiled programs are kept in the cache folder, or where the user says."""

import os
import subprocess
import sys

import pytest

from jaxkd.runtime.compilation_cache import machine

PROGRAM = """
import os, sys
from jaxkd.runtime.compilation_cache import VARIABLE, keep_compiled_programs
assert "jax" not in sys.modules
keep_compiled_programs()
import jax
jax.jit(lambda x: x + 1)(1.0)
print(jax.config.jax_compilation_cache_dir)
"""


@pytest.mark.parametrize("chosen", [False, True])
def test_a_second_run_finds_what_the_first_compiled(tmp_path, chosen):
    env = os.environ | {"JAXKD_CACHE": str(tmp_path), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    del env["JAX_COMPILATION_CACHE_DIR"]
    folder = tmp_path / "compiled" / machine()
    if chosen:
        folder = tmp_path / "mine"
        env["JAX_COMPILATION_CACHE_DIR"] = str(folder)
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=env, capture_output=True, text=True, check=True)
    assert done.stdout == f"{folder}\n"
    assert any(folder.iterdir())


def test_the_folder_is_that_of_this_jaxlib_and_processor():
    version, _, processor = machine().rpartition("-")
    assert version[0].isdigit()
    assert len(processor) == 12
