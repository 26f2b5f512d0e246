"""Confusion matrices of masks against their definition pixel by pixel, and a published table by its own arithmetic."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from jaxkd.metrics import BinarySegmentationMetrics, Confusion, binary_segmentation_metrics

SCORES = ("accuracy", "sensitivity", "specificity", "dice", "iou")

shapes = st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4))
pairs = shapes.flatmap(lambda shape: st.tuples(arrays(bool, shape), arrays(bool, shape)))


def scores(confusion: Confusion):
    return {name: getattr(confusion, name) for name in SCORES}


def by_definition(predicted, target):
    """Each score of one mask, or of all masks in a row, from sets of pixels."""
    inside = set(np.flatnonzero(predicted))
    truth = set(np.flatnonzero(target))
    everything = set(range(predicted.size))

    def share(part, whole):
        return len(part) / len(whole) if whole else 1.0

    together = len(inside) + len(truth)
    return {
        "accuracy": share(everything - (inside ^ truth), everything),
        "sensitivity": share(inside & truth, truth),
        "specificity": share(everything - inside - truth, everything - truth),
        "dice": 2 * len(inside & truth) / together if together else 1.0,
        "iou": share(inside & truth, inside | truth),
    }


def test_hand_values():
    target = np.array([[[1, 1, 0], [0, 0, 0]], [[1, 1, 1], [1, 0, 0]]], bool)
    predicted = np.array([[[1, 0, 1], [1, 0, 0]], [[1, 1, 1], [0, 0, 0]]], bool)
    found = binary_segmentation_metrics(predicted, target)
    counts = ("true_positives", "false_positives", "false_negatives", "true_negatives")
    assert [getattr(found.per_image, name).tolist() for name in counts] == [[1, 3], [2, 0], [1, 1], [2, 2]]
    assert [getattr(found.micro, name).item() for name in counts] == [4, 2, 2, 4]
    assert scores(found.micro) == pytest.approx(
        {"accuracy": 8 / 12, "sensitivity": 4 / 6, "specificity": 4 / 6, "dice": 8 / 12, "iou": 4 / 8}
    )
    assert found.per_image.dice.tolist() == pytest.approx([2 / 5, 6 / 7])
    assert found.per_image.iou.tolist() == pytest.approx([1 / 4, 3 / 4])
    assert found.per_image.accuracy.tolist() == pytest.approx([3 / 6, 5 / 6])
    assert found.per_image.sensitivity.tolist() == pytest.approx([1 / 2, 3 / 4])
    assert found.per_image.specificity.tolist() == pytest.approx([2 / 4, 1])


def test_nothing_over_nothing_is_one():
    empty, full = np.zeros((1, 2, 2), bool), np.ones((1, 2, 2), bool)
    for predicted, target, expected in (
        (empty, empty, {"accuracy": 1, "sensitivity": 1, "specificity": 1, "dice": 1, "iou": 1}),
        (full, full, {"accuracy": 1, "sensitivity": 1, "specificity": 1, "dice": 1, "iou": 1}),
        (full, empty, {"accuracy": 0, "sensitivity": 1, "specificity": 0, "dice": 0, "iou": 0}),
        (empty, full, {"accuracy": 0, "sensitivity": 0, "specificity": 1, "dice": 0, "iou": 0}),
    ):
        found = binary_segmentation_metrics(predicted, target)
        assert scores(found.micro) == expected
        assert {name: values.item() for name, values in scores(found.per_image).items()} == expected


@given(pairs)
def test_equals_its_definition_pixel_by_pixel(pair):
    predicted, target = pair
    found = binary_segmentation_metrics(predicted, target)
    assert scores(found.micro) == pytest.approx(by_definition(predicted, target))
    for image, (one, truth) in enumerate(zip(predicted, target, strict=True)):
        per_image = {name: values[image] for name, values in scores(found.per_image).items()}
        assert per_image == pytest.approx(by_definition(one, truth))


@given(pairs)
def test_dice_follows_from_iou_and_errors_are_symmetric(pair):
    predicted, target = pair
    found, swapped, inverted = (
        binary_segmentation_metrics(*one) for one in ((predicted, target), (target, predicted), (~predicted, ~target))
    )
    for confusion in (found.micro, found.per_image):
        np.testing.assert_allclose(confusion.dice, 2 * confusion.iou / (1 + confusion.iou), rtol=1e-15)
        assert (confusion.iou <= confusion.dice).all()
    for name in ("accuracy", "dice", "iou"):
        np.testing.assert_array_equal(getattr(swapped.per_image, name), getattr(found.per_image, name))
    np.testing.assert_array_equal(inverted.per_image.sensitivity, found.per_image.specificity)
    np.testing.assert_array_equal(inverted.per_image.accuracy, found.per_image.accuracy)


@given(pairs)
def test_parts_of_a_set_pool_to_the_whole(pair):
    """As an evaluator adds the batches of a set."""
    predicted, target = pair
    found = binary_segmentation_metrics(predicted, target)
    assert isinstance(found, BinarySegmentationMetrics)
    parts = [
        binary_segmentation_metrics(predicted[image : image + 1], target[image : image + 1]).per_image
        for image in range(len(predicted))
    ]
    joined = Confusion(
        true_positives=np.concatenate([part.true_positives for part in parts]),
        false_positives=np.concatenate([part.false_positives for part in parts]),
        false_negatives=np.concatenate([part.false_negatives for part in parts]),
        true_negatives=np.concatenate([part.true_negatives for part in parts]),
    )
    assert scores(joined.pooled()) == scores(found.micro)


def test_micro_scores_weigh_images_by_their_pixels_and_means_do_not():
    target = np.zeros((2, 10, 10), bool)
    target[0], target[1, 0, 0] = True, True
    predicted = np.zeros_like(target)
    predicted[0] = True  # the large object is found, the small one is not
    found = binary_segmentation_metrics(predicted, target)
    assert found.micro.dice == pytest.approx(200 / 201)
    assert found.per_image.dice.mean() == 0.5


def test_one_wrong_pixel_among_many_counts():
    image = np.ones((1, 300, 300), bool)  # more than a byte counts
    assert binary_segmentation_metrics(image, image).micro.true_positives == 90_000
    pixels = np.full(1 << 20, 1 << 20)
    per_image = Confusion(
        true_positives=pixels, false_positives=pixels * 0, false_negatives=pixels * 0, true_negatives=pixels
    )
    one_wrong = Confusion(
        true_positives=np.append(pixels, 0),
        false_positives=np.append(pixels * 0, 1),
        false_negatives=np.append(pixels * 0, 0),
        true_negatives=np.append(pixels, 0),
    ).pooled()
    assert scores(per_image.pooled()) == dict.fromkeys(SCORES, 1)
    assert one_wrong.true_positives == 1 << 40
    assert 1 - one_wrong.dice == pytest.approx(2**-41, rel=1e-3)
    assert 1 - one_wrong.iou == pytest.approx(2**-40, rel=1e-3)


@pytest.mark.usefixtures("unchecked_shapes")
def test_masks_that_are_none_are_refused():
    masks = np.zeros((2, 3, 3), bool)
    with pytest.raises(TypeError, match=r"predicted must hold booleans, got uint8\. Compare with a threshold"):
        binary_segmentation_metrics(masks.astype(np.uint8), masks)
    with pytest.raises(TypeError, match=r"target must hold booleans, got float32"):
        binary_segmentation_metrics(masks, masks.astype(np.float32))
    for one, other in ((masks, masks[:1]), (masks[0], masks[0]), (masks[:0], masks[:0])):
        with pytest.raises(ValueError, match=r"must be \[images, height, width\] of one shape with pixels, got \("):
            binary_segmentation_metrics(one, other)


# mIoU, DSC, Acc, Sen and Spe in percent, from the tables in the README of 11penguins/VFFM-UNet@129cad8.
PUBLISHED = {
    ("ISIC2018", "UNet"): (77.88, 87.56, 94.03, 87.23, 96.19),
    ("ISIC2018", "UNet++"): (79.18, 88.38, 94.40, 88.27, 96.34),
    ("ISIC2018", "TransFuse"): (74.19, 85.18, 93.02, 83.27, 96.12),
    ("ISIC2018", "UTNet"): (78.08, 87.69, 93.98, 89.09, 95.53),
    ("ISIC2018", "MISSFormer"): (79.09, 88.32, 94.39, 87.61, 96.56),
    ("ISIC2018", "C2SDG"): (79.58, 88.63, 94.43, 90.13, 95.79),
    ("ISIC2018", "ERDUnet"): (79.28, 88.44, 94.38, 89.03, 96.09),
    ("ISIC2018", "MHorUNet"): (79.18, 88.38, 94.49, 86.84, 96.92),
    ("ISIC2018", "HSH-UNet"): (77.39, 87.25, 93.80, 87.95, 95.66),
    ("ISIC2018", "Ours"): (80.62, 89.27, 94.73, 90.74, 97.23),
    ("ISIC2017", "UNet"): (77.08, 87.06, 95.82, 84.68, 96.93),
    ("ISIC2017", "UNet++"): (76.80, 86.88, 95.66, 86.31, 97.53),
    ("ISIC2017", "TransFuse"): (72.53, 83.89, 94.92, 80.53, 97.99),
    ("ISIC2017", "UTNet"): (76.79, 86.87, 95.63, 86.76, 97.41),
    ("ISIC2017", "MISSFormer"): (76.97, 86.98, 95.81, 84.14, 97.94),
    ("ISIC2017", "C2SDG"): (77.13, 87.09, 95.74, 86.11, 97.67),
    ("ISIC2017", "ERDUnet"): (78.19, 87.76, 95.96, 86.89, 97.77),
    ("ISIC2017", "MHorUNet"): (78.48, 87.94, 96.08, 85.81, 97.96),
    ("ISIC2017", "HSH-UNet"): (76.85, 86.91, 95.84, 83.02, 97.40),
    ("ISIC2017", "Ours"): (79.00, 88.32, 96.31, 87.11, 98.22),
    ("PH2", "UNet"): (78.82, 88.16, 92.71, 85.05, 96.30),
    ("PH2", "UNet++"): (78.86, 88.18, 92.53, 87.41, 94.93),
    ("PH2", "TransFuse"): (76.44, 86.65, 91.18, 89.72, 91.87),
    ("PH2", "UTNet"): (81.57, 89.85, 93.54, 89.62, 95.38),
    ("PH2", "C2SDG"): (81.63, 89.88, 93.46, 91.08, 94.58),
    ("PH2", "MHorUNet"): (78.98, 88.25, 92.50, 88.40, 94.42),
    ("PH2", "HSH-UNet"): (82.25, 90.26, 93.73, 91.14, 94.14),
    ("PH2", "Ours"): (83.45, 91.02, 94.94, 92.89, 95.85),
}


def test_the_published_dice_follows_from_the_published_iou_in_25_of_28_rows():
    gaps = {row: dice - 200 * iou / (100 + iou) for row, (iou, dice, *_) in PUBLISHED.items()}
    # Both cells are rounded to .01, and dDice / dIoU < 1 here.
    exceptions = {row: round(gap, 2) for row, gap in gaps.items() if abs(gap) > 0.01}
    assert len(gaps) == 28
    assert exceptions == {("ISIC2017", "TransFuse"): -0.19, ("ISIC2017", "Ours"): 0.05, ("PH2", "Ours"): 0.04}


def test_the_published_shares_of_the_foreground_agree_in_one_data_set_but_for_the_proposed_network():
    """Acc = s Sen + (1 - s) Spe, with s the share of the foreground, which a data set has whatever the network."""
    shares = {
        network: (specificity - accuracy) / (specificity - sensitivity)
        for (data, network), (_, _, accuracy, sensitivity, specificity) in PUBLISHED.items()
        if data == "ISIC2018"
    }
    ours = shares.pop("Ours")
    assert max(shares.values()) - min(shares.values()) < 0.003
    assert ours > 0.38
    assert min(shares.values()) > 0.24
