import dataclasses
import json
import math

import pytest

from jaxkd.training.results.picture import Overlay, Picture, PictureLayer
from tests.report.studies import DOT_PNG, picture


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"outlines": (((0.0, 0.0), (1.0, 1.0)),)}, "outlines must have at least three corners each, got "),
        ({"lines": (((0.0, 0.0),),)}, r"lines must have at least two points each, got \(\(0.0, 0.0\),\). Leave it out"),
        ({"boxes": ((3.0, 0.0, 1.0, 2.0),)}, r"boxes must be \(left, top, right, bottom\), got \(3.0, 0.0, 1.0, 2.0\)"),
        ({"boxes": ((0.0, 2.0, 1.0, 1.0),)}, "boxes must be .* Exchange the edges"),
        ({"boxes": ((0.0, math.nan, 1.0, 1.0),)}, "coordinates of an overlay must be finite, got "),
        (
            {"boxes": ((0.0, 0.0, 1.0, 1.0),), "labels": ("a", "b")},
            "labels must be of each box or of none, got 2 labels",
        ),
        ({"labels": ("a",)}, "labels must be of each box or of none, got 1 labels and 0 boxes"),
        ({"points": ((0.0, math.inf),)}, r"coordinates of an overlay must be finite, got \(0.0, inf\)"),
        ({"outlines": (((0.0, 0.0), (1.0, 1.0), (math.nan, 0.0)),)}, "coordinates of an overlay must be finite"),
        ({"lines": (((0.0, 0.0), (-math.inf, 0.0)),)}, "coordinates of an overlay must be finite, got .*inf, 0.0"),
    ],
)
def test_an_overlay_is_of_shapes_that_can_be_drawn(changes, message):
    with pytest.raises(ValueError, match=message):
        Overlay(**changes)


def test_a_box_without_area_and_one_beyond_the_picture_are_boxes():
    assert Overlay(boxes=((1.0, 1.0, 1.0, 1.0), (-5.0, 0.0, 1e4, 2.0))).boxes[1][0] == -5.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 0}, "width and height must be at least 1 pixel, got 0 and 8 in 'lesion 7'"),
        ({"height": -1}, "width and height must be at least 1 pixel, got 10 and -1 in 'lesion 7'"),
        ({"png": ""}, "png must be a PNG in base64, got '' in 'lesion 7'"),
        ({"png": "iVBORw0KGgo"}, "png must be a PNG in base64"),
        ({"png": 'iVBORw0KGgo="><script>'}, "png must be a PNG in base64"),
        ({"png": "é"}, "png must be a PNG in base64"),
        ({"png": "R0lGODlhAQABAAAAACw="}, "png must be a PNG in base64, got 'R0lGODlhAQABAAAAACw='"),
    ],
)
def test_a_picture_has_a_size_and_a_png(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(picture(), **changes)


def test_a_layer_has_a_png():
    with pytest.raises(ValueError, match="png must be a PNG in base64, got 'AAAA' in 'thermal'. Make it with"):
        PictureLayer(name="thermal", png="AAAA")


def test_labels_lines_and_layers_come_back_and_older_files_have_none():
    lines = (((0.5, 1.0), (2.0, 3.0)), ((0.0, 0.0), (-1.0, 4.0), (9.0, 9.0)))
    labelled = Overlay(boxes=((0.0, 0.0, 1.0, 1.0),), labels=("person .93",), lines=lines)
    whole = dataclasses.replace(picture(found=labelled), layers=(PictureLayer(name="thermal", png=DOT_PNG),))
    fields = json.loads(json.dumps(dataclasses.asdict(whole)))
    assert Picture.from_fields(fields) == whole
    del fields["layers"]
    for overlay in ("found", "truth"):
        del fields[overlay]["labels"], fields[overlay]["lines"]
    assert Picture.from_fields(fields) == picture(found=Overlay(boxes=labelled.boxes))
