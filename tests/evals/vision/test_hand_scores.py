"""Errors of hands that a network finds, image by image, by camera, and by their place in the image."""

import dataclasses
import math

import jax
import numpy as np
import pytest

from jaxkd.evals.headline import HAND_ERROR
from jaxkd.evals.vision import HandScores
from jaxkd.evals.vision.hand_scores import _errors
from jaxkd.records.hands import ARCTIC, ASSEMBLY_HANDS
from jaxkd.training.results.evaluation import Evaluation
from jaxkd.vision.network import NetworkModel
from tests.evals.vision.tiny_hand_images import MeanColour, TinyHandImages
from tests.losses.compiled import jitted
from tests.vision.segmentation.modules import drawn_params

DATA = TinyHandImages()
ROWS = 4
"""Six images: the last batch is padded."""


def trained(**fields):
    network = MeanColour(**fields)
    return NetworkModel(network=network, params=drawn_params(network), state={})


@pytest.fixture(scope="module")
def model():
    return trained()


@pytest.fixture(scope="module")
def found(model):
    return HandScores(data=DATA, rows=ROWS)(model)


def altered(change, place=4):
    """Images of which the fifth has other labels."""

    class Altered(TinyHandImages):
        def examples(self, split):
            examples = super().examples(split)
            one = examples[place]
            examples[place] = dataclasses.replace(one, target=dataclasses.replace(one.target, **change))
            return examples

    return HandScores(data=Altered(), rows=ROWS)


def procrustes(points, truth):
    """Mean distance after the best similarity, by Umeyama."""
    x, y = points - points.mean(0), truth - truth.mean(0)
    left, singular, right = np.linalg.svd(y.T @ x)
    signs = np.array([1, 1, np.sign(np.linalg.det(left @ right))])
    scale = (signs * singular).sum() / (x**2).sum()
    return np.linalg.norm(scale * x @ (left @ np.diag(signs) @ right).T - y, axis=1).mean()


def expected(model, examples):
    """Each error of each image, by loops in float64."""
    outputs = jax.device_get(jitted(NetworkModel.__call__)(model, np.stack([one.image for one in examples])))
    errors = {"mpjpe": [], "pa_mpjpe": [], "pixels": [], "root_depth": []}
    for row, example in enumerate(examples):
        view, wrist = example.target, example.target.order.wrist
        points = outputs.points[row].astype(np.float64)
        joints = [math.dist(points[j] - points[wrist], view.points[j] - view.points[wrist]) for j in range(21)]
        errors["mpjpe"].append(1000 * sum(joints) / 21)
        errors["pa_mpjpe"].append(1000 * procrustes(points, view.points))
        errors["pixels"].append(sum(map(math.dist, outputs.pixels[row], view.pixels)) / 21)
        errors["root_depth"].append(1000 * (outputs.root_depth[row] - view.root_depth))
    assert min(errors["root_depth"]) < 0 < max(errors["root_depth"])
    return {name: np.abs(values) for name, values in errors.items()}, outputs.pixels


def test_errors_are_those_of_loops(model, found):
    examples = DATA.examples("test")
    errors, _ = expected(model, examples)
    assert 10 < errors["pa_mpjpe"].min() < errors["mpjpe"].max() < 1000
    for name in ("mpjpe", "pa_mpjpe", "pixels"):
        np.testing.assert_allclose(found.per_example[name], errors[name], rtol=1e-4)
    assert found.keys == tuple(one.key for one in examples)
    assert found.metrics == pytest.approx(
        {name: column.mean() for name, column in errors.items()}
        | {
            "mpjpe_left": errors["mpjpe"][::2].mean(),
            "mpjpe_right": errors["mpjpe"][1::2].mean(),
            # Every first of three is at 0.1; a third of the width itself is the edge.
            "mpjpe_centre": errors["mpjpe"][::3].mean(),
            "mpjpe_edge": errors["mpjpe"][[1, 2, 4, 5]].mean(),
        },
        rel=1e-4,
    )
    assert Evaluation.from_json(found.to_json()) == found


def test_rows_change_no_result_and_compile_one_shape_each(model, found):
    before = _errors._cache_size()
    other = HandScores(data=DATA, rows=5)(model)
    assert _errors._cache_size() == before + 1
    for name, column in found.per_example.items():
        np.testing.assert_allclose(other.per_example[name], column, rtol=1e-5)


def test_the_headline_is_a_mean_of_a_column(found):
    assert (HAND_ERROR.measured_by, HAND_ERROR.better, HAND_ERROR.unit) == (HandScores(data=DATA).name, "lower", "mm")
    (column,) = HAND_ERROR.columns
    assert found.metrics[HAND_ERROR.metric] == pytest.approx(np.mean(found.per_example[column]))


def test_it_draws_both_skeletons_of_images_of_each_camera(model, found):
    assert [(one.key, one.group) for one in found.pictures] == [
        (f"test/{frame}/{camera}", camera) for camera in ("left", "right") for frame in range(3)
    ]
    examples = DATA.examples("test")
    _, pixels = expected(model, examples)
    picture, view = found.pictures[1], examples[2].target
    assert picture.note == f"{found.per_example['mpjpe'][2]:.1f} mm"
    assert (picture.width, picture.height) == (8, 8)
    for overlay, joints in ((picture.truth, view.pixels), (picture.found, pixels[2])):
        assert len(overlay.lines) == 20
        for line, bone in zip(overlay.lines, ASSEMBLY_HANDS.bones, strict=True):
            # The first pixel's centre is the origin of the labels, and its corner that of a picture.
            np.testing.assert_allclose(line, joints[list(bone)] + 0.5, atol=0.05 + 1e-5)


def test_four_cameras_are_drawn_at_the_same_frames(model):
    cameras = ("a", "b", "c", "d")
    many = HandScores(data=TinyHandImages(frames=4, cameras=cameras), rows=ROWS)(model)
    assert [one.key for one in many.pictures] == [f"test/{frame}/{camera}" for camera in cameras for frame in (0, 2)]


def test_one_camera(model, found):
    scores = HandScores(data=DATA, stratum="right", label="right", rows=ROWS)
    assert scores.name == "right"
    assert [(one.metric, one.name) for one in scores.columns()] == [("mpjpe", "MPJPE, mm,\nright")]
    assert [one.metric for one in HandScores(data=DATA).columns()] == ["pa_mpjpe", "pixels"]
    only = scores(model)
    assert only.metrics["mpjpe"] == pytest.approx(found.metrics["mpjpe_right"])
    assert not {"mpjpe_left", "mpjpe_right"} & set(only.metrics)
    assert only.pictures == found.pictures[3:]
    with pytest.raises(ValueError, match=r"data must have images in test, got none of 'top' in TinyHandImages\."):
        dataclasses.replace(scores, stratum="top")(model)


def test_what_no_image_has_is_left_out(model):
    central = HandScores(data=dataclasses.replace(DATA, eccentricities=(0.2,)), rows=ROWS)(model)
    assert central.metrics["mpjpe_centre"] == pytest.approx(central.metrics["mpjpe"])
    assert "mpjpe_edge" not in central.metrics
    assert "root_depth" not in HandScores(data=DATA, rows=ROWS)(trained(root_depth=False)).metrics


def test_a_distance_that_is_not_known_does_not_count(model):
    errors, _ = expected(model, DATA.examples("test"))
    some = altered({"root_depth": np.array(np.nan)})(model)
    assert some.metrics["root_depth"] == pytest.approx(np.delete(errors["root_depth"], 4).mean(), rel=1e-4)
    assert some.metrics["mpjpe"] == pytest.approx(errors["mpjpe"].mean(), rel=1e-4)


def test_labels_must_be_known_and_of_one_order(model):
    with pytest.raises(ValueError, match="labels must be known in test, got unknown ones in 'test/2/left'. Leave"):
        altered({"known": np.array(False)})(model)
    message = "labels must have one order of joints in test, got that of AssemblyHands and that of ARCTIC in 'test/2/"
    with pytest.raises(ValueError, match=message):
        altered({"order": ARCTIC})(model)


def test_a_network_finds_the_joints_of_the_labels_and_finite_ones():
    scores = HandScores(data=DATA, rows=ROWS)
    message = r"the network must find the 21 joints of the labels, got 4 joints of a MeanColour\. Set its"
    with pytest.raises(ValueError, match=message):
        scores(trained(joints=4))
    model = trained()
    infinite = dataclasses.replace(model, params=jax.tree.map(lambda leaf: leaf * np.inf, model.params))
    with pytest.raises(ValueError, match="the network must find joints that are finite, got NaN .* 'test/0/left'"):
        scores(infinite)


def test_metrics_have_distinct_names(model):
    message = "strata must not be called centre or edge, .* got 'edge' in TinyHandImages"
    with pytest.raises(ValueError, match=message):
        HandScores(data=dataclasses.replace(DATA, cameras=("left", "edge")), rows=ROWS)(model)
