"""The query decoder: its count, the order of its queries and of the tokens, and what it refuses."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.runtime import configs
from jaxkd.vision.hands.query_decoder import QueryDecoder
from tests.losses.compiled import jitted
from tests.vision.hands.tiny import DECODER, TOKENS, drawn_decoder


@functools.lru_cache(maxsize=4)
def gradients(decoder):
    """Gradients of a sum of squares of the heads' outputs, and the outputs, compiled once."""

    def total(params, tokens):
        outputs = decoder.apply(params, tokens)
        return sum(jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(outputs)[:-1]), outputs

    return jitted(jax.grad(total, has_aux=True))


def count(decoder):
    """Parameters by hand: eight maps of attention and three normalisations a layer."""
    width, hidden = decoder.width, decoder.hidden
    layer = 8 * (width + 1) * width + (width + 1) * hidden + (hidden + 1) * width + 3 * 2 * width
    heads = decoder.rotation_size + decoder.shape_size + decoder.camera_size
    if decoder.objects:
        heads += decoder.object_rotation_size + decoder.camera_size + decoder.angle_size
    embedding = (decoder.inputs + 1) * width + (decoder.positions or 0) * width
    return embedding + decoder.queries * width + decoder.layers * layer + 2 * width + (width + 1) * heads


@pytest.mark.parametrize(
    ("fields", "queries", "expected"),
    [
        ({}, 39, 51_269_658),
        (DECODER, 13, None),
        (DECODER | {"objects": 0, "hands": 1, "positions": 6}, 5, None),
        (DECODER | {"objects": 2}, 16, None),
    ],
)
def test_counts_follow_from_the_fields(fields, queries, expected):
    decoder = QueryDecoder(**fields)
    found = sum(leaf.size for leaf in jax.tree.leaves(decoder.abstract()))
    assert found == count(decoder)
    assert expected is None or found == expected
    assert decoder.queries == queries


def test_every_part_has_its_shape():
    decoder = QueryDecoder()
    found = jax.eval_shape(decoder.apply, decoder.abstract(), jax.ShapeDtypeStruct((2, 256, 1536), jnp.float32))
    assert {name: getattr(found, name).shape for name in vars(found)} == {
        "joint_rotations": (2, 2, 16, 6),
        "hand_cameras": (2, 2, 3),
        "hand_shapes": (2, 2, 10),
        "object_rotations": (2, 1, 3),
        "object_cameras": (2, 1, 3),
        "object_angles": (2, 1, 1),
        "queries": (2, 39, 512),
    }
    alone = QueryDecoder(**DECODER | {"objects": 0})
    found = jax.eval_shape(alone.apply, alone.abstract(), TOKENS)
    assert found.joint_rotations.shape == (2, 2, 3, 6)
    assert found.object_rotations is found.object_cameras is found.object_angles is None
    quaternions = QueryDecoder(**DECODER | {"rotation_size": 4, "angle_size": 2, "shape_size": 1})
    found = jax.eval_shape(quaternions.apply, quaternions.abstract(), TOKENS)
    assert found.joint_rotations.shape == (2, 2, 3, 4)
    assert (found.hand_shapes.shape, found.object_angles.shape) == ((2, 2, 1), (2, 1, 2))


def test_each_head_reads_its_queries_in_their_order():
    decoder = QueryDecoder(**DECODER)
    params = drawn_decoder(decoder)
    found = gradients(decoder)(params, TOKENS)[1]
    first, second = np.split(found.queries[:, :10], 2, axis=1)  # of each hand: three joints, its camera, its shape
    rotation, camera, angle = np.moveaxis(found.queries[:, 10:], 1, 0)
    expected = {
        "joint_rotations": ("joint", np.stack([first[:, :3], second[:, :3]], axis=1)),
        "hand_cameras": ("hand_camera", np.stack([first[:, 3], second[:, 3]], axis=1)),
        "hand_shapes": ("hand_shape", np.stack([first[:, 4], second[:, 4]], axis=1)),
        "object_rotations": ("object_rotation", rotation[:, None]),
        "object_cameras": ("object_camera", camera[:, None]),
        "object_angles": ("object_angle", angle[:, None]),
    }
    for name, (head, read) in expected.items():
        values = read @ params["heads"][head]["kernel"] + params["heads"][head]["bias"]
        np.testing.assert_allclose(getattr(found, name), values, rtol=1e-5, atol=1e-5)


def test_the_order_of_tokens_changes_nothing_without_encodings():
    decoder = QueryDecoder(**DECODER)
    params = drawn_decoder(decoder)
    by_params, found = gradients(decoder)(params, TOKENS)
    for order in (np.arange(6)[::-1], np.array([3, 1, 5, 0, 2, 4])):
        other = gradients(decoder)(params, TOKENS[:, order])
        # Sums of another order differ by rounding, which normalisations and gradients make larger.
        jax.tree.map(lambda one, two: np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-4), found, other[1])
        jax.tree.map(lambda one, two: np.testing.assert_allclose(one, two, rtol=1e-3, atol=2e-3), by_params, other[0])
    changed = gradients(decoder)(params, np.where(np.arange(6)[:, None] == 4, np.float32(0), TOKENS))[1]
    assert np.abs(changed.queries - found.queries).max() > 1e-2


def test_encodings_of_positions_tell_the_order():
    plain, encoded = QueryDecoder(**DECODER), QueryDecoder(**DECODER | {"positions": 6})
    params = drawn_decoder(plain)
    apply = jitted(encoded.apply)
    zeros = apply(params | {"encoding": np.zeros((6, 4), np.float32)}, TOKENS)
    np.testing.assert_allclose(zeros.queries, gradients(plain)(params, TOKENS)[1].queries, rtol=1e-4, atol=1e-4)
    params = params | {"encoding": drawn_decoder(encoded)["encoding"]}
    found, turned = apply(params, TOKENS), apply(params, TOKENS[:, ::-1])
    assert np.abs(found.queries - turned.queries).max() > 1e-2


def test_gradients_reach_all_parameters():
    decoder = QueryDecoder(**DECODER)
    by_params = gradients(decoder)(drawn_decoder(decoder), TOKENS)[0]
    largest = {
        jax.tree_util.keystr(path, simple=True, separator="/"): float(np.abs(leaf).max())
        for path, leaf in jax.tree.leaves_with_path(by_params)
    }
    assert all(np.isfinite(value) for value in largest.values())
    # A bias of the keys adds one number to all scores of a query: their softmax does not change.
    biases = {name for name in largest if name.endswith("key/bias")}
    assert len(biases) == 4
    assert min(value for name, value in largest.items() if name not in biases) > 1e-3
    assert max(largest[name] for name in biases) < 1e-4


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"heads": 3}, r"width must be a multiple of heads, so that each head has as many channels, got 4 and 3\."),
        *[
            ({name: 0}, rf"^{name} must be at least 1, got 0\.")
            for name in ("inputs", "positions", "width", "heads", "layers", "hidden", "hands", "joints", "angle_size")
        ],
        ({"objects": -1}, r"objects must be at least 0, got -1\."),
    ],
)
def test_values_outside_their_range_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        QueryDecoder(**DECODER | fields)


def test_other_tokens_are_refused():
    decoder = QueryDecoder(**DECODER | {"positions": 5})
    with pytest.raises(ValueError, match=r"tokens must have 3 channels, the inputs of the decoder, got 4\."):
        decoder.apply(decoder.abstract(), np.zeros((1, 5, 4), np.float32))
    with pytest.raises(ValueError, match=r"tokens must be 5, each of which has a learned encoding .* got 6\. Take"):
        decoder.apply(decoder.abstract(), TOKENS)


def test_a_description_survives_json(tmp_path):
    decoder = QueryDecoder(positions=49)
    configs.save(tmp_path / "config.json", decoder)
    assert configs.load(tmp_path / "config.json") == decoder
