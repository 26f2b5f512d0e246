import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.vision.segmentation.missformer import MISSFormer
from tests.vision.segmentation.modules import drawn_params
from tests.vision.segmentation.structure import multiply_adds, parameters_without_effect

TINY = MISSFormer(classes=2, widths=(4, 8), depths=(1, 1), heads=(1, 2), reductions=(2, 1), bridge_layers=1)
SIZE = (16, 24)


@pytest.fixture(scope="module")
def images():
    return jnp.asarray(np.random.default_rng(0).integers(0, 256, (2, *SIZE, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def params():
    return drawn_params(TINY)


def test_parameters_are_as_many_as_the_released_ones_and_those_without_effect_are_named():
    """35,452,745 of them lead to the logits, which is what `unused_layers=False` leaves."""
    network = MISSFormer(unused_layers=True)
    params, state = network.abstract()
    sizes = {
        jax.tree_util.keystr(path, simple=True, separator="."): leaf.size
        for path, leaf in jax.tree.leaves_with_path(params)
    }
    assert sum(sizes.values()) == 42_462_537
    assert state == {}
    unused = parameters_without_effect(network, 224)
    deepest = [path for path in sizes if path.startswith(("decoder.stage0.merge", "decoder.stage0.blocks"))]
    assert set(unused) == {path for path in sizes if "unused_norms" in path} | set(deepest)
    assert sum(sizes[path] for path in deepest) == 6_895_104
    assert sum(sizes.values()) - sum(sizes[path] for path in unused) == 35_452_745


def test_without_unused_layers_the_others_are_left():
    both = TINY.abstract()[0], MISSFormer(**vars(TINY) | {"unused_layers": True}).abstract()[0]
    found, expected = (
        {
            jax.tree_util.keystr(path, simple=True, separator="."): leaf.shape
            for path, leaf in jax.tree.leaves_with_path(one)
        }
        for one in both
    )
    deepest = ("decoder.stage0.merge", "decoder.stage0.blocks")
    assert found == {
        path: shape for path, shape in expected.items() if "unused_norms" not in path and not path.startswith(deepest)
    }


def test_every_parameter_leads_to_the_logits():
    assert parameters_without_effect(TINY, 16) == []


def test_multiply_adds_are_those_of_the_released_code(monkeypatch):
    """7.184 G with a hook on each of its layers, of which 1.773 G are the second of two equal linear maps."""
    assert multiply_adds(MISSFormer(), 224, monkeypatch) == 7_184_400_384 - 3_545_235_456 // 2


def test_outputs_and_gradients(params, images):
    """A gradient reaches every parameter."""

    def loss(params):
        maps, _ = TINY.apply(params, {}, images)
        return jnp.sum(jnp.square(maps.logits)), maps

    gradients, maps = jax.jit(jax.grad(loss, has_aux=True))(params)
    assert maps.logits.shape == (2, *SIZE, 2)
    assert maps.auxiliary == ()
    assert [one.shape for one in maps.features] == [(2, 4, 6, 4), (2, 2, 3, 8), (2, 4, 6, 4), (2, *SIZE, 4)]
    assert [
        jax.tree_util.keystr(path) for path, leaf in jax.tree.leaves_with_path(gradients) if not np.abs(leaf).max() > 0
    ] == []


def test_sides_are_multiples_of_32():
    network = MISSFormer()
    network.require_size(224, 32)
    with pytest.raises(
        ValueError, match=r"height and width must be positive multiples of 32, so that each map can be reduced"
    ):
        network.require_size(224, 240)
    with pytest.raises(ValueError, match=r"so that each map can be reduced, got 0 x 32\. Resize or pad the images\."):
        network.require_size(0, 32)


def test_no_class_is_refused():
    with pytest.raises(ValueError, match=r"classes must be 1 or more, got 0\."):
        MISSFormer(classes=0)


def test_tuples_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match=r"heads and reductions must have one number for each of two stages or more"):
        MISSFormer(heads=(1, 2, 5))


@pytest.mark.parametrize("widths", [(64, 128, 320, 500), (6, 12, 32, 48), (3, 6, 15, 24)])
def test_widths_that_do_not_fall_into_tokens_and_heads_are_refused(widths):
    with pytest.raises(ValueError, match=r"widths must be even multiples of the first, \d+, which is the width of"):
        MISSFormer(widths=widths, heads=(1, 2, 4, 8) if widths[0] == 6 else (1, 2, 5, 8), reductions=(8, 4, 2, 1))
