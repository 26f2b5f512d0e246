"""Overlap of masks that a network finds, image by image and by stratum."""

import dataclasses

import jax
import numpy as np
import pytest

from jaxkd.evals.vision import SegmentationScores
from jaxkd.records import UNLABELLED
from jaxkd.training.results.evaluation import Evaluation
from jaxkd.vision.network import NetworkModel
from tests.losses.compiled import jitted
from tests.vision.tiny_images import Discs, OneLayer


@pytest.fixture(scope="module")
def model():
    network = OneLayer(width=2)
    params, state = jax.jit(network.init)(jax.random.key(0))
    return NetworkModel(network=network, params=params, state=state)


def test_scores_are_those_of_the_masks(model):
    data = Discs(count=5)
    found = SegmentationScores(data=data, rows=2)(model)
    examples = data.examples("test")
    logits = jitted(lambda model, images: model(images).logits)(model, np.stack([one.image for one in examples]))
    predicted = logits[..., 0] > 0
    truth = np.stack([one.target for one in examples]) == 1
    both, either = (predicted & truth).sum((1, 2)), (predicted | truth).sum((1, 2))
    assert 0 < both.sum() < either.sum()
    iou = both / either
    dice = 2 * iou / (1 + iou)
    np.testing.assert_allclose(found.per_example["iou"], iou)
    np.testing.assert_allclose(found.per_example["dice"], dice)
    assert found.keys == tuple(one.key for one in examples)
    expected = {
        "dice": dice.mean(),
        "iou": iou.mean(),
        "pooled_iou": both.sum() / either.sum(),
        "pooled_accuracy": (predicted == truth).mean(),
        "pooled_sensitivity": both.sum() / truth.sum(),
        "dice_even": dice[::2].mean(),
        "dice_odd": dice[1::2].mean(),
    }
    assert {name: found.metrics[name] for name in expected} == pytest.approx(expected)
    assert Evaluation.from_json(found.to_json()) == found


def test_it_draws_images_of_each_stratum(model):
    found = SegmentationScores(data=Discs(count=12))(model)
    assert [picture.group for picture in found.pictures] == ["even"] * 3 + ["odd"] * 3
    picture = found.pictures[0]
    assert (picture.width, picture.height) == (8, 8)
    assert len(picture.truth.outlines) == 1
    assert picture.note == f"Dice {found.per_example['dice'][found.keys.index(picture.key)]:.2f}"


def test_one_stratum(model):
    scores = SegmentationScores(data=Discs(), stratum="odd", label="odd")
    assert scores.name == "odd"
    assert [(one.metric, one.name) for one in scores.columns()] == [("dice", "Dice,\nodd")]
    found = scores(model)
    whole = SegmentationScores(data=Discs())(model)
    assert found.metrics["dice"] == pytest.approx(whole.metrics["dice_odd"])
    assert "dice_odd" not in found.metrics
    with pytest.raises(ValueError, match=r"data must have images in test, got none of 'severe' in Discs\."):
        dataclasses.replace(scores, stratum="severe")(model)


def test_masks_must_be_known(model):
    class Unknown(Discs):
        def examples(self, split):
            first, *others = super().examples(split)
            return [dataclasses.replace(first, target=np.full_like(first.target, UNLABELLED)), *others]

    with pytest.raises(ValueError, match="masks must be known in test, got unlabelled pixels in 'test/0'"):
        SegmentationScores(data=Unknown())(model)
