"""Numbers of a split, and classes that only one split has."""

from pathlib import Path

import numpy as np
import pytest

from jaxkd.data.images.detection.coco_counts import count_objects, require_learnt_classes
from jaxkd.data.images.detection.coco_json import CocoImage
from jaxkd.data.images.detection.coco_layout import CocoRow

CLASSES = ("person", "car", "lamp")


def row(*classes, name="a.png", crowds=0, clipped=0):
    image = CocoImage(
        file_name=name,
        size=(4, 4),
        corners=np.zeros((len(classes), 4)),
        classes=np.array(classes, np.int32),
        crowds=np.arange(len(classes)) < crowds,
        clipped=clipped,
    )
    return CocoRow(annotations=Path("list.json"), image=image, group="", files=())


def test_objects_are_counted_by_class():
    found = count_objects(CLASSES, [row(0, 2, 2, crowds=2), row(), row(0, clipped=1)], black={"visible": 1})
    assert found.objects == (("person", 2), ("car", 0), ("lamp", 2))
    assert (found.images, found.without_objects, found.crowds, found.clipped) == (3, 1, 2, 1)
    assert str(found) == (
        "3 images (1 without objects, 1 black in visible) and 4 objects (2 crowds, 1 clipped): person 2, car 0, lamp 2"
    )


def test_a_class_without_training_objects_is_refused():
    splits = {"train": [row(0)], "validation": [row(0)], "test": [row(0), row(0, 1, name="b.png"), row(2)]}
    message = (
        r"list\.json: every class must have objects in the training split, got car, lamp in test alone, .* in b\.png"
    )
    with pytest.raises(ValueError, match=message):
        require_learnt_classes(CLASSES, splits)


def test_a_class_of_training_alone_is_logged_for_splits_with_images(caplog):
    require_learnt_classes(CLASSES, {"train": [row(0, 1)], "validation": [], "test": [row(0)]})
    assert [record.getMessage() for record in caplog.records] == [
        "test has no objects of car: test cannot tell how well they are found"
    ]
