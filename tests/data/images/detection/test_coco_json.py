"""Files in the format of COCO: what they hold, and what is refused with file and id."""

import json
import re

import numpy as np
import pytest

from jaxkd.data.images.detection.coco_json import read_coco
from tests.data.images.detection.coco_data import annotation, entries, write_json


def read(tmp_path, *, images=None, annotations=(), **more):
    given = entries(["b.png", "a.jpg"]) if images is None else images
    return read_coco(write_json(tmp_path / "train.json", images=given, annotations=annotations, **more))


def test_images_have_their_objects_and_come_by_key(tmp_path):
    objects = [
        annotation(5, 1, [2, 4, 10.5, 8]),
        annotation(6, 2, [0, 0, 30, 20], category=7),
        annotation(7, 1, [1, 1, 1, 1], category=7, iscrowd=1, area=1, segmentation=[]),
    ]
    found = read(tmp_path, annotations=objects)
    assert found.categories == ((2, "person"), (7, "lamp"))
    assert [(image.key, image.file_name, image.size) for image in found.images] == [
        ("a", "a.jpg", (20, 30)),
        ("b", "b.png", (20, 30)),
    ]
    one, two = found.images
    np.testing.assert_array_equal(one.corners, [[0, 0, 30, 20]])
    np.testing.assert_array_equal(two.corners, [[2, 4, 12.5, 12], [1, 1, 2, 2]])
    assert (one.classes.tolist(), two.classes.tolist()) == ([1], [0, 1])
    assert (one.crowds.tolist(), two.crowds.tolist()) == ([False], [False, True])
    assert (one.clipped, two.clipped) == (0, 0)


def test_an_image_without_objects_has_arrays_without_rows(tmp_path):
    for image in read(tmp_path).images:
        assert (image.corners.shape, image.classes.shape, image.crowds.shape) == ((0, 4), (0,), (0,))


def test_boxes_are_clipped_to_the_image_and_counted(tmp_path):
    objects = [annotation(1, 1, [-2, 3, 10, 50]), annotation(2, 1, [28, 18, 2, 2]), annotation(3, 1, [29, -1, 2, 2])]
    _, image = read(tmp_path, annotations=objects).images
    np.testing.assert_array_equal(image.corners, [[0, 3, 8, 20], [28, 18, 30, 20], [29, 0, 30, 1]])
    assert image.clipped == 2


def test_a_file_is_read_once_until_it_changes(tmp_path):
    first = read(tmp_path)
    assert read_coco(tmp_path / "train.json") is first
    assert len(read(tmp_path, images=entries(["b.png", "a.jpg", "c.jpg"])).images) == 3


@pytest.mark.parametrize(
    ("bbox", "message"),
    [
        ([1, 2, float("nan"), 4], "four finite numbers, left, top, width and height, got [1, 2, nan, 4]"),
        ([1, 2, 3], "four finite numbers, left, top, width and height, got [1, 2, 3]"),
        ([1, 2, "3", 4], "four finite numbers, left, top, width and height, got [1, 2, '3', 4]"),
        ([9, 2, -3, 4], "positive width and height, got [9, 2, -3, 4]: it is inverted. If it holds left, top, right"),
        ([9, 2, 3, 0], "with an area, got [9, 2, 3, 0]. Delete it"),
        ([30, 2, 3, 4], "at least partly within the image of 20 x 30 pixels (height x width), got [30, 2, 3, 4]"),
        ([1, -4, 3, 4], "at least partly within the image of 20 x 30 pixels (height x width), got [1, -4, 3, 4]"),
    ],
)
def test_a_box_that_cannot_be_right_is_refused_with_file_and_annotation(tmp_path, bbox, message):
    with pytest.raises(ValueError, match=rf"/train\.json: annotation 12 must have a bbox.*{re.escape(message)}"):
        read(tmp_path, annotations=[annotation(11, 1, [1, 1, 1, 1]), annotation(12, 1, bbox)])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"annotations": [annotation(12, 3, [1, 1, 1, 1])]},
            "annotation 12 must be of a listed image, got image_id 3, which none of the images has",
        ),
        (
            {"annotations": [annotation(12, 1, [1, 1, 1, 1], category=3)]},
            "annotation 12 must be of a listed category, got category_id 3. The categories are 2 (person), 7 (lamp)",
        ),
        (
            {"annotations": [annotation(12, 1, [1, 1, 1, 1])] * 2},
            "every annotation must have an id of its own, got 12 twice",
        ),
        ({"images": entries(["a.png"]) + entries(["b.png"])}, "every image must have an id of its own, got 1 twice"),
        ({"categories": [{"id": 1, "name": "a"}] * 2}, "every category must have an id of its own, got 1 twice"),
        (
            {"categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "a"}]},
            "categories must have a name each, got 'a' twice",
        ),
        (
            {"images": entries(["a.png", "a.jpg"])},
            "a file must be listed once, got a.jpg as image 1 and image 2, with or without its ending",
        ),
        (
            {"images": entries(["../a.png"])},
            "image 1 must have a file_name within the folder of images, got '../a.png'",
        ),
        ({"images": entries(["/data/a.png"])}, "image 1 must have a file_name within the folder of images, got '/data"),
        ({"images": entries(["a.png"], size=(0, 4))}, "image 1 must be at least 1 pixel high and wide, got 0 x 4"),
        (
            {"annotations": [annotation(12, 1, [1, 1, 1, 1], iscrowd=2)]},
            "annotation 12 must have an iscrowd of 0 or 1, got 2",
        ),
        (
            {"images": [{"id": 4, "file_name": "a.png", "height": 4}]},
            "image 4 must have a field width of type int, got",
        ),
        ({"images": [{"file_name": "a.png"}]}, "image number 0 must have a field id of type int, got None"),
        ({"images": ["a.png"]}, "image number 0 must have a field id of type int, got None"),
        ({"annotations": [{"id": True}]}, "annotation True must have a field id of type int, got True"),
        ({"images": []}, " must list at least one image, got none"),
        ({"categories": []}, " must have at least one category, got none"),
    ],
)
def test_a_list_that_cannot_be_right_is_refused_with_file_and_id(tmp_path, given, message):
    with pytest.raises(ValueError, match=rf"/train\.json:? ?{re.escape(message)}"):
        read(tmp_path, **given)


@pytest.mark.parametrize(
    ("content", "got"),
    [
        ({"images": [], "annotations": {}}, "got the keys images, annotations. Convert"),
        ({}, "got the keys none. Convert"),
        ([1, 2], "got list. Convert"),
    ],
)
def test_json_that_is_not_cocos_is_refused(tmp_path, content, got):
    path = tmp_path / "train.json"
    path.write_text(json.dumps(content))
    message = "must be in the format of COCO, an object with the lists images, annotations, categories, "
    with pytest.raises(ValueError, match=f"train.json {message}{got}"):
        read_coco(path)


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe\xfd"])
def test_a_file_that_is_not_json_is_refused(tmp_path, content):
    path = tmp_path / "train.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"train\.json must be JSON in the format of COCO, got .*"):
        read_coco(path)
