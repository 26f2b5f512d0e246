"""Average precision of a network that finds a box at each bright cell, by hand."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.data.images.detection import DetectionSource
from jaxkd.data.images.source import ImageExample
from jaxkd.evals.detection_comparison import paired_average_precision
from jaxkd.evals.vision import DetectionScores
from jaxkd.records import Boxes
from jaxkd.training.results.evaluation import Evaluation
from jaxkd.vision.detection.maps import DetectionMaps

SIDE, STRIDE = 32, 4
NAMES = ("person", "car")


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Spots:
    """A class at each cell whose red or green is bright, and its box, one stride to each side."""

    gain: jax.Array

    def __call__(self, images):
        rows, cells = images.shape[0], SIDE // STRIDE
        shares = images[..., :2].reshape(rows, cells, STRIDE, cells, STRIDE, 2).mean((2, 4)) / 255
        logits = self.gain * (shares - 0.5)
        edges = jnp.zeros((rows, cells, cells, 4, 3)).at[..., 1].set(40.0)
        return DetectionMaps(class_logits=(logits,), edge_logits=(edges,), tower=(logits,), strides=(STRIDE,))


@dataclasses.dataclass(frozen=True)
class Thing:
    """An object in a cell: what is true, and how bright it is."""

    row: int
    column: int
    which: int
    share: float = 1.0
    true: bool = True
    ignored: bool = False


SCENES = {
    "two": ("day", (Thing(1, 1, 0), Thing(5, 2, 0))),
    "one too many": ("night", (Thing(2, 2, 1), Thing(5, 5, 0, share=0.6, true=False))),
    "missed": ("night", (Thing(3, 6, 1, share=0.2),)),
    "crowd": ("night", (Thing(6, 1, 0, share=0.55, ignored=True), Thing(3, 1, 0, share=0.45, true=False))),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bright(DetectionSource):
    """The scenes, each with room for three objects."""

    channels: int = 3
    names: tuple[str, ...] = tuple(SCENES)
    classes: tuple[str, ...] = NAMES

    @property
    def size(self):
        return SIDE, SIDE

    def examples(self, split):
        return [self._example(name) for name in self.names] if split == "test" else []

    def _example(self, name):
        stratum, things = SCENES[name]
        image = np.zeros((SIDE, SIDE, self.channels), np.uint8)
        image[..., 3:] = 77
        # Padding looks like an object, were it not for the mask.
        corners, classes = np.tile(np.float32([0, 0, SIDE, SIDE]), (3, 1)), np.zeros(3, np.int32)
        mask, ignored = np.zeros(3, bool), np.zeros(3, bool)
        for place, one in enumerate(things):
            left, top = one.column * STRIDE, one.row * STRIDE
            image[top : top + STRIDE, left : left + STRIDE, one.which] = round(255 * one.share)
            centre = np.float32([left, top, left, top]) + STRIDE / 2
            corners[place] = centre + np.float32([-STRIDE, -STRIDE, STRIDE, STRIDE])
            classes[place], mask[place], ignored[place] = one.which, one.true, one.ignored
        target = Boxes(corners=corners, classes=classes, mask=mask, ignored=ignored)
        return ImageExample(key=name, group=name, image=image, target=target, stratum=stratum)


@pytest.fixture(scope="module")
def model():
    return Spots(jnp.float32(20.0))


@pytest.fixture(scope="module")
def found(model):
    return DetectionScores(data=Bright(channels=4), rows=3)(model)


def test_scores_by_hand(found):
    half = 51 / 101
    expected = {
        # Both persons come before the wrong ones, and one of two cars is found; all boxes are exact and small.
        **dict.fromkeys(("ap", "ap50", "ap75", "ap_small"), (1 + half) / 2),
        "class_ap50_person": 1.0,
        "class_ap50_car": half,
        "ap50_day": 1.0,
        "ap50_night": half,
    }
    assert found.metrics == pytest.approx(expected)
    assert found.keys == tuple(SCENES)
    assert Evaluation.from_json(found.to_json()) == found


def test_matches_are_stored_from_which_intervals_are_computed(found, model):
    assert [len(one.scores) for one in found.matches] == [2, 2, 0, 2]
    scores = [score for one in found.matches for score in sorted(one.scores, reverse=True)]
    shares = np.array([1, 1, 1, 0.6, 0.55, 0.45])
    assert scores == pytest.approx(1 / (1 + np.exp(-20 * (shares - 0.5))), abs=0.01)  # a brightness is a whole number
    assert [len(one.truth_classes) for one in found.matches] == [2, 1, 1, 1]
    # The network sees nothing in the dark.
    blind = DetectionScores(data=Bright(channels=4))(Spots(-model.gain))
    ours, theirs = ([one.matches() for one in evaluation.matches] for evaluation in (found, blind))
    interval = paired_average_precision([ours], [theirs], samples=50)
    assert interval.estimate == pytest.approx(found.metrics["ap"] - blind.metrics["ap"])
    assert interval.estimate > 0.7


def test_the_number_of_images_in_a_batch_changes_nothing(found, model):
    other = DetectionScores(data=Bright(channels=4), rows=1)(model)
    assert other == found


def test_pictures_show_boxes_with_names_and_the_thermal_image(found, model):
    pictures = {one.key: one for one in found.pictures}
    assert list(pictures) == ["two", "one too many", "missed", "crowd"]
    one = pictures["one too many"]
    assert (one.width, one.height, one.group) == (SIDE, SIDE, "night")
    assert one.truth.boxes == ((6.0, 6.0, 14.0, 14.0),)
    assert one.truth.labels == ("car",)
    assert one.found.boxes == ((6.0, 6.0, 14.0, 14.0), (18.0, 18.0, 26.0, 26.0))
    assert one.found.labels == ("car 1.00", "person .88")
    assert one.note == "1 of 1 found, 1 wrong"
    assert [layer.name for layer in one.layers] == ["thermal"]
    assert one.layers[0].png != one.png
    crowd = pictures["crowd"]
    assert (crowd.truth.labels, crowd.note) == (("person, ignored",), "0 of 0 found, 0 wrong")
    assert crowd.found.labels == ("person .73",), "a score of .27 is not drawn"
    plain = DetectionScores(data=Bright())(model)
    assert plain.metrics == found.metrics
    assert all(picture.layers == () for picture in plain.pictures)


def test_one_stratum(found, model):
    scores = DetectionScores(data=Bright(), stratum="night", label="night")
    assert scores.name == "night"
    assert [(one.metric, one.name) for one in scores.columns()] == [("ap50", "AP50,\nnight")]
    whole = DetectionScores(data=Bright())
    assert [one.metric for one in whole.columns()] == ["ap", "ap50"]
    moved = DetectionScores(data=Bright(), label="offset_4")
    assert [(one.metric, one.name) for one in moved.columns()] == [("ap50", "AP50,\noffset_4")]
    night = scores(model)
    assert night.keys == ("one too many", "missed", "crowd")
    assert night.metrics["ap50"] == found.metrics["ap50_night"]
    assert "ap50_night" not in night.metrics
    assert "class_ap50_person" not in night.metrics, "no person counts there"
    with pytest.raises(ValueError, match=r"data must have images in test, got none of 'dusk' in Bright\."):
        dataclasses.replace(scores, stratum="dusk")(model)


def test_data_without_objects_and_classes_without_names_are_refused(model):
    with pytest.raises(ValueError, match=r"data must have images in validation, got none in Bright\."):
        DetectionScores(data=Bright(), split="validation")(model)
    with pytest.raises(ValueError, match="data must have an object that is not ignored in test, got none in 1 images"):
        DetectionScores(data=Bright(names=("crowd",)))(model)
    with pytest.raises(ValueError, match="data must name each class of its objects, got 1 names and class 1 in 'one"):
        DetectionScores(data=Bright(classes=("person",)))(model)
