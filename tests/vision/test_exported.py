"""Exported networks: read back, run without this library, refused where they do not fit."""

import dataclasses
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.runtime.storage.files import read_json, write_json
from jaxkd.vision import ExportedNetwork, exported
from jaxkd.vision.network import NetworkModel
from jaxkd.vision.trained_network import TrainedNetwork
from tests.vision.tiny_images import OneLayer


@pytest.fixture(scope="module")
def model():
    network = OneLayer(width=2)
    params, state = network.init(jax.random.key(3))
    state["norm"]["mean"] = jnp.array([1.0, -2.0])
    return NetworkModel(network=network, params=params, state=state)


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    exported.save(folder, model, size=(8, 12))
    return folder


def test_it_reads_back_equal(model, folder):
    assert exported.is_exported(folder)
    read = exported.load(folder)
    assert read.network == model.network
    jax.tree.map(np.testing.assert_array_equal, read, model)
    teacher = TrainedNetwork(network=model.network, path=str(folder))
    teacher.validate()
    jax.tree.map(np.testing.assert_array_equal, teacher.model(teacher.load()), model)


def test_the_function_runs_in_a_process_without_this_library(model, folder, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 12, 3)).astype(np.uint8)
    np.save(tmp_path / "images.npy", images)
    code = (
        "import sys, jax, numpy as np\n"
        f"function = jax.export.deserialize(bytearray(open({str(folder / exported.FUNCTION)!r}, 'rb').read()))\n"
        f"logits = function.call(np.load({str(tmp_path / 'images.npy')!r}))\n"
        f"np.save({str(tmp_path / 'logits.npy')!r}, logits)\n"
        "sys.exit(any(name.startswith('jaxkd') for name in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    expected = model(jnp.asarray(images)).logits
    np.testing.assert_allclose(np.load(tmp_path / "logits.npy"), expected, rtol=1e-5, atol=1e-5)


def test_weights_of_another_network_are_refused(folder, model, tmp_path):
    for name in (exported.WEIGHTS, exported.CONFIG):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    stored = read_json(tmp_path / exported.CONFIG)
    stored["network"]["width"] = 5
    write_json(tmp_path / exported.CONFIG, stored)
    with pytest.raises(ValueError, match=r"must hold first\.kernel of shape \(3, 3, 3, 5\), got shape \(3, 3, 3, 2\)"):
        exported.load(tmp_path)
    with pytest.raises(ValueError, match=r"network must be the one in .*, got others in width: 5 -> 2"):
        TrainedNetwork(network=model.network, path=str(tmp_path)).validate()
    write_json(tmp_path / exported.CONFIG, {"network": None})
    with pytest.raises(ValueError, match="must describe a network on images, got None"):
        exported.load(tmp_path)
    assert dataclasses.is_dataclass(model.network)


def test_it_is_a_model_that_a_stage_evaluates(folder, model, tmp_path):
    source = ExportedNetwork(path=str(folder))
    source.validate()
    assert source.provenance() == f"OneLayer exported to {folder}"
    jax.tree.map(np.testing.assert_array_equal, source.load_model(), model)
    with pytest.raises(
        ValueError, match=r"path must be a folder with network\.json, got .*\. Export a run to it first"
    ):
        ExportedNetwork(path=str(tmp_path)).validate()
