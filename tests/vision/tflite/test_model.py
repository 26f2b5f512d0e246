"""Whole files: what they compute, and what is refused, with its name and place."""

import struct

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.runtime.packages import file_sha256
from jaxkd.vision.tflite.hands import hand_landmarks
from jaxkd.vision.tflite.model import read_tflite
from tests.losses.compiled import jitted
from tests.vision.tflite.tiny_files import (
    TinyOperation,
    TinyTensor,
    constant,
    convolution_options,
    pool_options,
    write,
)

RNG = np.random.default_rng(0)
KERNEL = RNG.normal(size=(4, 3, 3, 2)).astype(np.float16)
BIAS = RNG.normal(size=4).astype(np.float16)
MATRIX = RNG.normal(size=(2, 4)).astype(np.float32)
IMAGES = RNG.normal(size=(3, 4, 6, 2)).astype(np.float32)


def computed(name, *shape):
    return TinyTensor(name=name, shape=shape)


def tiny_network(path):
    """Weights of half precision, a fused activation, a pool, and a matrix: everything that has weights or axes."""
    tensors = [
        computed("images", 1, 4, 6, 2),
        constant("kernel", KERNEL),
        constant("bias", BIAS),
        computed("kernel_dequantized", *KERNEL.shape),
        computed("bias_dequantized", 4),
        computed("features", 1, 2, 3, 4),
        constant("axes", np.array([1, 2], np.int32)),
        computed("means", 1, 4),
        constant("matrix", MATRIX),
        computed("scores", 1, 2),
    ]
    operations = [
        TinyOperation(kind="DEQUANTIZE", inputs=[1], outputs=[3]),
        TinyOperation(kind="DEQUANTIZE", inputs=[2], outputs=[4]),
        TinyOperation(
            kind="CONV_2D",
            inputs=[0, 3, 4],
            outputs=[5],
            options=convolution_options(strides=(2, 2), activation=3),
        ),
        TinyOperation(kind="MEAN", inputs=[5, 6], outputs=[7]),
        TinyOperation(kind="FULLY_CONNECTED", inputs=[7, 8, -1], outputs=[9]),
    ]
    return write(path, tensors, operations, inputs=[0], outputs=[9, 5])


def expected_scores(images):
    padded = np.pad(images.astype(float), ((0, 0), (0, 1), (0, 1), (0, 0)))
    features = np.zeros((len(images), 2, 3, 4))
    for y in range(2):
        for x in range(3):
            window = padded[:, 2 * y : 2 * y + 3, 2 * x : 2 * x + 3]
            features[:, y, x] = np.einsum("bijc,oijc->bo", window, KERNEL.astype(float)) + BIAS
    return np.clip(features, 0, 6).mean((1, 2)) @ MATRIX.T


def one(path, kind, *, inputs=(0,), options=None, tensors=(), shape=(1, 4, 6, 2), **changes):
    """Write a file of one operation, on images and these further tensors; its result is the last tensor."""
    whole = [computed("images", *shape), *tensors, computed("result", 1)]
    operation = TinyOperation(kind=kind, inputs=inputs, outputs=[len(whole) - 1], options=options or {}, **changes)
    return write(path, whole, [operation], inputs=[0], outputs=[len(whole) - 1])


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return read_tflite(tiny_network(tmp_path_factory.mktemp("tflite") / "tiny.tflite"))


def test_a_network_is_read_with_its_names_shapes_and_weights(tiny):
    (images,) = tiny.inputs
    assert (images.name, images.shape, images.dtype) == ("images", (1, 4, 6, 2), "float32")
    assert [(one.name, one.shape) for one in tiny.outputs] == [("scores", (1, 2)), ("features", (1, 2, 3, 4))]
    assert {name: (leaf.shape, leaf.dtype) for name, leaf in tiny.params.items()} == {
        "kernel": ((3, 3, 2, 4), jnp.float32),
        "bias": ((4,), jnp.float32),
        "matrix": ((4, 2), jnp.float32),
    }
    np.testing.assert_array_equal(tiny.params["kernel"], KERNEL.transpose(1, 2, 3, 0).astype(np.float32))
    assert tiny.parameters == 72 + 4 + 8


@pytest.fixture(scope="module")
def outputs(tiny):
    """Outputs for the images, with the gradients of the scores' squares to weights and images."""

    def loss(params, images):
        outputs = tiny(params, images)
        return jnp.sum(outputs["scores"] ** 2), outputs

    return jitted(jax.grad(loss, argnums=(0, 1), has_aux=True))(tiny.params, IMAGES)


def test_any_number_of_images_is_computed(outputs):
    _, found = outputs
    assert {name: array.shape for name, array in found.items()} == {"scores": (3, 2), "features": (3, 2, 3, 4)}
    np.testing.assert_allclose(found["scores"], expected_scores(IMAGES), atol=1e-5)


def test_gradients_by_weights_and_images_are_finite_differences(tiny, outputs):
    (by_params, by_images), _ = outputs
    direction = RNG.normal(size=IMAGES.shape)
    step = 1e-4 * direction
    ahead, behind = (np.sum(expected_scores(IMAGES + sign * step) ** 2) for sign in (1, -1))
    np.testing.assert_allclose(np.sum(by_images * direction), (ahead - behind) / 2e-4, rtol=2e-3)
    # d/dt sum((t s)^2) = 2 sum(s^2) at t = 1, for a matrix times t.
    scaled = np.sum(by_params["matrix"] * np.asarray(tiny.params["matrix"]))
    np.testing.assert_allclose(scaled, 2 * np.sum(expected_scores(IMAGES) ** 2), rtol=1e-4)


def test_elementwise_operations_and_resizing(tmp_path):
    scale = constant("scale", np.array([2.0, -1.0], np.float32))
    model = read_tflite(one(tmp_path / "mul", "MUL", inputs=[0, 1], tensors=[scale], options={0: ("Int8", 1)}))
    np.testing.assert_allclose(
        jitted(model)(model.params, IMAGES)["result"], np.maximum(IMAGES * np.array([2.0, -1.0]), 0), rtol=1e-6
    )
    model = read_tflite(one(tmp_path / "add", "ADD", inputs=[0, 0]))
    np.testing.assert_allclose(jitted(model)(model.params, IMAGES)["result"], 2 * IMAGES, rtol=1e-6)
    size = constant("size", np.array([8, 6], np.int32))
    model = read_tflite(
        one(tmp_path / "size", "RESIZE_BILINEAR", inputs=[0, 1], tensors=[size], options={3: ("Bool", True)})
    )
    found = jitted(model)(model.params, IMAGES)["result"]
    np.testing.assert_allclose(found[:, 0], IMAGES[:, 0], rtol=1e-6)
    np.testing.assert_allclose(found[:, 1], 0.75 * IMAGES[:, 0] + 0.25 * IMAGES[:, 1], atol=1e-6)
    for kind, function in {
        "RELU": lambda x: np.maximum(x, 0),
        "LOGISTIC": lambda x: 1 / (1 + np.exp(-x)),
        "HARD_SWISH": lambda x: x * np.clip(x + 3, 0, 6) / 6,
        "DEQUANTIZE": lambda x: x,
    }.items():
        model = read_tflite(one(tmp_path / kind, kind))
        np.testing.assert_allclose(jitted(model)(model.params, IMAGES)["result"], function(IMAGES), atol=1e-6)


def test_the_custom_transposed_convolution(tmp_path):
    kernel, bias = constant("kernel", KERNEL[:, :2, :2].astype(np.float32)), constant("bias", BIAS.astype(np.float32))
    path = one(
        tmp_path / "custom",
        "Convolution2DTransposeBias",
        inputs=[0, 1, 2],
        tensors=[kernel, bias],
        custom_options=struct.pack("<iii", 1, 2, 2),
    )
    model = read_tflite(path)
    found = jitted(model)(model.params, IMAGES)["result"]
    assert found.shape == (3, 8, 12, 4)
    expected = np.einsum("bhwc,oijc->bhiwjo", IMAGES, KERNEL[:, :2, :2].astype(np.float32)).reshape(3, 8, 12, 4)
    np.testing.assert_allclose(found, expected + BIAS.astype(np.float32), atol=1e-5)


def test_an_unknown_operation_is_refused_by_name_place_and_file(tmp_path):
    path = one(tmp_path / "softmax.tflite", "SOFTMAX")
    message = (
        rf"operation 0, SOFTMAX, of {path} cannot be computed: the operation must be one of ADD, .*RESIZE_BILINEAR, "
        "Convolution2DTransposeBias. Run the file with LiteRT, or convert the network differently"
    )
    with pytest.raises(ValueError, match=message):
        read_tflite(path)
    with pytest.raises(ValueError, match=r"operation 0, MyOperation, of .* cannot be computed"):
        read_tflite(one(tmp_path / "custom.tflite", "MyOperation"))


WEIGHTS = constant("weights", KERNEL.astype(np.float32))
FLAT = constant("flat", MATRIX)
SIZE = constant("size", np.array([4, 4], np.int32))


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("CONV_2D", {"inputs": [0, 1], "tensors": [WEIGHTS]}, "strides and dilations must be at least 1"),
        (
            "CONV_2D",
            {"inputs": [0, 1], "tensors": [WEIGHTS], "options": convolution_options(padding=2)},
            "its padding must be one of SAME, VALID, 0 or 1, got 2",
        ),
        (
            "ADD",
            {"inputs": [0, 0], "options": {0: ("Int8", 4)}},
            "its activation must be one of none, .* 0 to 3, got 4",
        ),
        (
            "FULLY_CONNECTED",
            {"inputs": [0, 1], "tensors": [FLAT], "options": {1: ("Int8", 1)}},
            "its weights must be in the default layout, 0, got 1",
        ),
        (
            "RESIZE_BILINEAR",
            {"inputs": [0, 1], "tensors": [SIZE], "options": {2: ("Bool", True), 3: ("Bool", True)}},
            "only one of align_corners and half_pixel_centers must be set, got both",
        ),
        ("RESIZE_BILINEAR", {}, "its second input must be int32 numbers that the file holds"),
        (
            "RESIZE_BILINEAR",
            {"inputs": [0, 1], "tensors": [constant("size", np.array([4, 0], np.int32))]},
            r"its second input must be 2 positive numbers, got \(4, 0\)",
        ),
        (
            "MEAN",
            {"inputs": [0, 1], "tensors": [constant("axes", np.array([0], np.int32))]},
            "its axes must leave out that of the images, 0",
        ),
        (
            "Convolution2DTransposeBias",
            {"inputs": [0, 1], "tensors": [WEIGHTS], "custom_options": b"12"},
            "its options must have at least 12 bytes, got 2",
        ),
        (
            "Convolution2DTransposeBias",
            {"inputs": [0, 1], "tensors": [WEIGHTS], "custom_options": struct.pack("<iiii", 1, 2, 2, 1)},
            "its padding must be SAME or VALID, 1 or 2, and nothing else be set, got 01000000",
        ),
        (
            "CONV_2D",
            {"inputs": [0, 0], "options": convolution_options()},
            r"must have weights of 4 axes that the file holds, got inputs \(0, 0\)",
        ),
        (
            "CONV_2D",
            {"inputs": [0, 1], "tensors": [FLAT], "options": convolution_options()},
            "must have weights of 4 axes that the file holds",
        ),
        (
            "ADD",
            {"inputs": [0, 1], "tensors": [TinyTensor(name="whole", shape=(1,), dtype="int8")]},
            "must come after what it reads|must have tensors of FLOAT32 or FLOAT16, got INT8 for 'whole'",
        ),
        (
            "ADD",
            {"inputs": [0, 1], "tensors": [computed("later", 1)]},
            "operation 0, ADD, of .* must come after what it reads, got tensor 'later' before it is computed",
        ),
        ("RELU", {"inputs": []}, r"must have inputs and one output, got \(\) and \(1,\)"),
        ("RELU", {"inputs": [7]}, r"the index of a tensor must be in \[0, 2\), got 7"),
    ],
)
def test_what_is_not_known_or_not_sound_is_refused(tmp_path, kind, changes, message):
    path = one(tmp_path / "file.tflite", kind, **changes)
    with pytest.raises(ValueError, match=message) as error:
        read_tflite(path)
    assert str(path) in str(error.value)


def test_weights_of_two_layouts_are_refused(tmp_path):
    tensors = [computed("images", 1, 4, 6, 2), constant("weights", np.ones((1, 1, 1, 2), np.float32))]
    tensors += [computed("first", 1), computed("second", 1)]
    operations = [
        TinyOperation(kind=kind, inputs=[0, 1], outputs=[2 + place], options=convolution_options(kind=kind))
        for place, kind in enumerate(["CONV_2D", "DEPTHWISE_CONV_2D"])
    ]
    path = write(tmp_path / "shared", tensors, operations, inputs=[0], outputs=[2, 3])
    with pytest.raises(
        ValueError, match="operation 1, DEPTHWISE_CONV_2D, of .* must have weights of its own, got 'wei"
    ):
        read_tflite(path)


def test_an_output_that_nothing_computes_is_refused(tmp_path):
    path = write(tmp_path / "file", [computed("a", 1), computed("b", 1)], [], inputs=[0], outputs=[1])
    with pytest.raises(ValueError, match=r"an output of .* must be computed from its inputs, got 'b'. The file is dam"):
        read_tflite(path)


def test_another_file_is_refused(tmp_path):
    path = tiny_network(tmp_path / "tiny.tflite")
    assert read_tflite(path, sha256=file_sha256(path)).parameters == 84
    with pytest.raises(ValueError, match=rf"path must be the file with sha256 {'0' * 64}, got .* of another version"):
        read_tflite(path, sha256="0" * 64)
    with pytest.raises(FileNotFoundError, match="path must be a TFLite file, got .*, which does not exist"):
        read_tflite(tmp_path / "nothing")
    tensors = [computed("images", 1, 4)]
    for changes, message in (
        ({"version": 4}, "the version must be 3, got 4"),
        ({"graphs": 2}, "the file must hold one graph, got 2"),
    ):
        other = write(tmp_path / "other", tensors, [], inputs=[0], outputs=[0], **changes)
        with pytest.raises(ValueError, match=message):
            read_tflite(other)


def test_a_damaged_file_is_refused_in_one_line(tmp_path):
    content = tiny_network(tmp_path / "tiny.tflite").read_bytes()
    path = tmp_path / "damaged.tflite"
    cases = {
        b"": r"bytes 4 to 7 must be b'TFL3'",
        content[:4] + b"TFL2" + content[8:]: r"bytes 4 to 7 must be b'TFL3', the mark of version 3, got b'TFL2'",
        content[:60]: "an offset must lead to a place within the file, got one beyond",
        content[: len(content) // 2]: "an offset must lead to a place within the file|must have|the index of a",
        struct.pack("<I", 2**31) + content[4:]: "an offset must lead to a place within the file, got one beyond",
        b"\0\0\0\0" + content[4:]: "an offset must lead to a place|the version must be 3",
    }
    for damaged, message in cases.items():
        path.write_bytes(damaged)
        with pytest.raises(
            ValueError, match=f"path must be a whole TFLite file, got {len(damaged)} bytes in .* of which ({message})"
        ) as error:
            read_tflite(path)
        assert "\n" not in str(error.value)


def test_any_flipped_byte_gives_a_network_or_a_value_error(tmp_path):
    """Every 7th byte set to 255: what is read either is sound or is refused."""
    content = tiny_network(tmp_path / "tiny.tflite").read_bytes()
    path, refused = tmp_path / "damaged.tflite", 0
    for place in range(0, len(content), 7):
        path.write_bytes(content[:place] + b"\xff" + content[place + 1 :])
        try:
            read_tflite(path)
        except ValueError:
            refused += 1
    assert refused > 20


def test_a_tensor_of_another_size_is_refused(tmp_path):
    wrong = TinyTensor(name="weights", shape=(2, 4), values=np.zeros(7, np.float32))
    path = one(tmp_path / "file", "FULLY_CONNECTED", inputs=[0, 1], tensors=[wrong])
    with pytest.raises(ValueError, match=r"tensor 'weights' of shape \(2, 4\) must have 32 bytes, got 28"):
        read_tflite(path)


def test_images_of_another_size_are_refused(tiny):
    with pytest.raises(
        ValueError, match=r"images must have the shape \[b, 4, 6, 2\], got \[3, 6, 4, 2\]. Crop and res"
    ):
        tiny(tiny.params, IMAGES.swapaxes(1, 2))
    with pytest.raises(ValueError, match=r"images must have the shape \[b, 4, 6, 2\], got none"):
        tiny(tiny.params)


def test_integers_in_place_of_floats_are_refused(tmp_path):
    """A network of integers: its images are int8."""
    tensors = [TinyTensor(name="images", shape=(1, 4), dtype="int8"), computed("result", 1, 4)]
    path = write(
        tmp_path / "file", tensors, [TinyOperation(kind="DEQUANTIZE", inputs=[0], outputs=[1])], inputs=[0], outputs=[1]
    )
    with pytest.raises(ValueError, match="must have tensors of FLOAT32 or FLOAT16, got INT8 for 'images'. Convert the"):
        read_tflite(path)


def test_pools_of_a_file(tmp_path):
    for kind, function in {"AVERAGE_POOL_2D": np.mean, "MAX_POOL_2D": np.max}.items():
        model = read_tflite(one(tmp_path / kind, kind, options=pool_options(padding=1, strides=(4, 6), size=(4, 6))))
        found = jitted(model)(model.params, IMAGES)["result"]
        np.testing.assert_allclose(found, function(IMAGES, axis=(1, 2), keepdims=True), atol=1e-6)


def test_an_unknown_network_lists_what_there_is():
    with pytest.raises(ValueError, match="size must be one of full, lite, got 'heavy'"):
        hand_landmarks("heavy")  # pyright: ignore[reportArgumentType]
