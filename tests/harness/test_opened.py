"""A checkpoint or a run as the harnesses open it, in a precision."""

import dataclasses

import jax
import numpy as np
import pytest

from jaxkd.harness.opened import open_model
from jaxkd.sharding import MeshShape
from jaxkd.sharding.mesh import make
from jaxkd.study import runs
from tests.tiny_runs import Tiny


def test_a_checkpoint_in_a_precision_with_its_own_template(tiny_folder):
    mesh = make(MeshShape(data=1))
    with jax.set_mesh(mesh):
        opened = open_model(str(tiny_folder), precision="bfloat16", system="the")
    assert (opened.name, opened.mesh) == (str(tiny_folder), mesh)
    assert (opened.style.template, opened.style.system) == ("chat", "the")
    assert {str(leaf.dtype) for leaf in jax.tree.leaves(opened.model.params)} == {"bfloat16"}


def test_without_an_ambient_mesh_rows_are_split_over_all_devices(tiny_folder):
    opened = open_model(str(tiny_folder), template="plain")
    assert dict(opened.mesh.shape) == {"data": 8, "fsdp": 1, "tensor": 1}
    assert opened.style.template == "plain"


@pytest.mark.slow
def test_a_run_with_the_system_message_of_its_rows(tiny_folder, tiny_text, tmp_path):
    made = Tiny(tiny_folder, tiny_text)
    train = made.train(steps=2, validation=(), evaluators=())
    train.run(tmp_path / "run", seed=0, stages={})
    with jax.set_mesh(make(MeshShape(data=1))):
        opened = open_model(str(tmp_path / "run"))
        expected = runs.language_model(tmp_path / "run")
    jax.tree.map(np.testing.assert_array_equal, opened.model.params, expected.params)
    assert opened.style == dataclasses.replace(opened.style, template="chat", system=None)
