"""LiteRT as the oracle: of single operations with every option, and of the packaged networks."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.data.images.scenes.scenery import backdrops
from jaxkd.vision.tflite import hand_landmarks, selfie_segmentation
from jaxkd.vision.tflite.model import read_tflite
from jaxkd.vision.tflite.packaged import HAND_LANDMARK_FULL, HAND_LANDMARK_LITE, SELFIE_SEGMENTATION, fetch
from tests.vision.tflite.tiny_files import (
    TinyOperation,
    TinyTensor,
    constant,
    convolution_options,
    pool_options,
    write,
)

pytestmark = pytest.mark.slow

SHAPE = (1, 7, 9, 3)


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def litert(path, images):
    """Outputs of LiteRT by name, one image at a time."""
    interpreter = pytest.importorskip("ai_edge_litert.interpreter").Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    (given,), results = interpreter.get_input_details(), []
    for image in images:
        interpreter.set_tensor(given["index"], image[None])
        interpreter.invoke()
        results.append({one["name"]: interpreter.get_tensor(one["index"]) for one in interpreter.get_output_details()})
    return {name: np.concatenate([one[name] for one in results]) for name in results[0]}


def compare(path, images, atol=1e-5):
    model = read_tflite(path)
    found, expected = jax.jit(model)(model.params, images), litert(path, images)
    assert found.keys() == expected.keys()
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], atol=atol)


def write_one(path, kind, options, *tensors, result, channels=3):
    whole = [TinyTensor(name="images", shape=(*SHAPE[:3], channels)), *tensors, TinyTensor(name="result", shape=result)]
    operation = TinyOperation(kind=kind, inputs=range(len(whole) - 1), outputs=[len(whole) - 1], options=options)
    return write(path, whole, [operation], inputs=[0], outputs=[len(whole) - 1])


def length(side, size, stride, dilation, padding):
    return -(-side // stride) if padding == 0 else (side - dilation * (size - 1) - 1) // stride + 1


@pytest.mark.parametrize("kind", ["CONV_2D", "DEPTHWISE_CONV_2D"])
def test_convolutions(tmp_path, kind):
    for number, (padding, strides, dilations, activation, channels) in enumerate(
        [
            (0, (1, 1), (1, 1), 0, 3),
            (0, (2, 2), (1, 1), 3, 3),
            (1, (2, 1), (1, 1), 1, 6),
            (0, (1, 1), (2, 2), 0, 3),
            (1, (1, 1), (1, 2), 2, 6),
            (0, (2, 3), (1, 1), 2, 6),
        ]
    ):
        outputs, size = (4, (3, 2)) if kind == "CONV_2D" else (channels, (3, 2))
        kernel = draw(outputs, *size, channels) if kind == "CONV_2D" else draw(1, *size, channels)
        rows, columns = (length(*sizes, padding) for sizes in zip(SHAPE[1:3], size, strides, dilations, strict=True))
        options = convolution_options(
            kind=kind, padding=padding, strides=strides, dilations=dilations, activation=activation
        )
        path = write_one(
            tmp_path / f"{number}.tflite",
            kind,
            options,
            constant("kernel", kernel),
            constant("bias", draw(outputs, seed=1)),
            result=(1, rows, columns, outputs),
            channels=channels,
        )
        compare(path, draw(2, *SHAPE[1:3], channels, seed=2))


@pytest.mark.parametrize(("align_corners", "half_pixel_centers"), [(False, False), (True, False), (False, True)])
def test_resizing(tmp_path, align_corners, half_pixel_centers):
    options = {2: ("Bool", align_corners), 3: ("Bool", half_pixel_centers)}
    for number, size in enumerate([(14, 18), (5, 4), (1, 30)]):
        path = write_one(
            tmp_path / f"{number}.tflite",
            "RESIZE_BILINEAR",
            options,
            constant("size", np.array(size, np.int32)),
            result=(1, *size, 3),
        )
        compare(path, draw(2, *SHAPE[1:]))


def test_pools(tmp_path):
    cases = itertools.product(["AVERAGE_POOL_2D", "MAX_POOL_2D"], [0, 1], [(1, 1), (2, 3)])
    for number, (kind, padding, strides) in enumerate(cases):
        rows, columns = (
            length(side, size, stride, 1, padding)
            for side, size, stride in zip(SHAPE[1:3], (3, 2), strides, strict=True)
        )
        options = pool_options(padding=padding, strides=strides, size=(3, 2))
        path = write_one(tmp_path / f"{number}.tflite", kind, options, result=(1, rows, columns, 3))
        compare(path, draw(2, *SHAPE[1:]))


@pytest.fixture(scope="module")
def photographs(packaged_images):
    """Crops of packaged photographs, and their mirror images."""

    def crops(side):
        found = []
        for split in backdrops().values():
            for photograph in (*split.walls, *split.grounds):
                image = np.asarray(photograph.image.resize((side, side)), np.float32) / 255
                found += [image, image[:, ::-1]]
        return np.stack(found)

    return crops


@pytest.mark.parametrize("file", [HAND_LANDMARK_FULL, HAND_LANDMARK_LITE])
def test_hand_networks_are_those_of_litert(photographs, file):
    """Landmarks in pixels of 224, presence and handedness as probabilities, and metres."""
    path, images = fetch(file), photographs(224)
    model = read_tflite(path, sha256=file.sha256)
    assert model.parameters == {"full": 2_715_680, "lite": 1_011_712}[path.stem.rpartition("_")[2]]
    found, expected = jax.jit(model)(model.params, images), litert(path, images)
    for name, bound in {"Identity": 1e-3, "Identity_1": 1e-5, "Identity_2": 1e-5, "Identity_3": 1e-5}.items():
        np.testing.assert_allclose(found[name], expected[name], atol=bound)


def test_the_network_of_people_is_that_of_litert(photographs):
    """Logits of photographs without people reach hundreds, and float32 alone is 1e-4 off where they cancel: so the
    greatest difference is bounded by LiteRT's own distance from float64, and the mean by 1e-5."""
    images, network = photographs(256), selfie_segmentation()
    assert network.model.parameters == 106_401
    expected = litert(fetch(SELFIE_SEGMENTATION), images)["activation_10"][..., 0]
    found = np.asarray(jax.jit(network)(network.params, images))
    with jax.enable_x64(True):
        params = jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf), jnp.float64), network.params)
        exact = np.asarray(jax.jit(network)(params, jnp.asarray(images, jnp.float64)))
    assert np.mean(np.abs(found - expected)) < 1e-5
    assert np.max(np.abs(found - exact)) <= 2 * np.max(np.abs(expected - exact)) < 1e-3
    assert 0 <= expected.min() < 0.1 < 0.5 < expected.max() <= 1


def test_named_outputs_of_hands(photographs):
    network, images = hand_landmarks("lite"), photographs(224)[:2]
    found, raw = network(network.params, images), network.model(network.params, images)
    np.testing.assert_array_equal(found.image, np.reshape(raw["Identity"], (2, 21, 3))[..., :2])
    np.testing.assert_array_equal(found.depth, np.reshape(raw["Identity"], (2, 21, 3))[..., 2])
    np.testing.assert_array_equal(found.world, np.reshape(raw["Identity_3"], (2, 21, 3)))
    np.testing.assert_array_equal(found.presence, raw["Identity_1"][:, 0])
    np.testing.assert_array_equal(found.handedness, raw["Identity_2"][:, 0])
