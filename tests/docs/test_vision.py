"""The page on networks on images: its network of one's own is trained, and its inference runs."""

import jax
import numpy as np
import pytest
from PIL import Image

from jaxkd.recipes.segmentation import Segmentation
from jaxkd.vision import NetworkModel, exported
from tests.docs.pages import python_blocks
from tests.vision.tiny_images import Discs, OneLayer


@pytest.fixture(scope="module")
def code():
    """The page's two blocks of Python: inference, and a network of one's own."""
    inference, own = python_blocks("docs/vision.md")
    return inference, own


def test_a_network_of_ones_own_is_trained(code):
    names = {"__name__": "own_network"}
    exec(code[1], names)
    recipe = Segmentation(data=Discs(), network=names["Small"](width=2), rows=2)
    recipe.validate()
    variables = recipe.init(jax.random.key(0))
    batch = jax.device_put(next(iter(recipe.batches("train", 0))))
    output = recipe.loss(variables, batch, recipe.counts(batch), jax.random.key(1))
    assert output.loss > 0
    assert jax.tree.structure(output.state) == jax.tree.structure(variables.state)


def test_the_exported_function_takes_image_files(code, tmp_path, monkeypatch):
    network = OneLayer(width=2)
    params, state = network.init(jax.random.key(0))
    model = NetworkModel(network=network, params=params, state=state)
    exported.save(tmp_path / "model", model, size=(256, 256))
    Image.fromarray(np.full((20, 30), 7, np.uint8)).save(tmp_path / "grey.png")
    monkeypatch.chdir(tmp_path)
    names = {"paths": ["grey.png", "grey.png"]}
    exec(code[0], names)
    assert names["probabilities"].shape == (2, 256, 256)
