import dataclasses
import io
import itertools
import random

import numpy as np
import pytest
from matplotlib.image import imread

from jaxkd.evals.suites.transport.drawings.road_scenes import OBSTACLES, WIDTHS, RoadScene, _scenes, road_occupations


def pixels(scene, seed=0):
    return imread(io.BytesIO(scene.png(random.Random(seed))))[..., :3]


SCENES = _scenes(random.Random(3))


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: f"{scene.way}{scene.count}{sorted(scene.obstacles)}")
def test_what_is_drawn_lies_on_the_lanes_that_are_named(scene):
    changed = np.abs(pixels(scene) - pixels(dataclasses.replace(scene, obstacles={}))).max(axis=(0, 2)) > 0.1
    edges = 128 + (np.arange(scene.count + 1) - scene.count / 2) * WIDTHS[scene.way] * 256 / 2.5
    columns = np.arange(256) + 0.5
    shares = [changed[(columns > left) & (columns < right)].mean() for left, right in itertools.pairwise(edges)]
    assert [number for number, share in enumerate(shares, start=1) if share > 0.3] == sorted(scene.obstacles)
    # A pixel at the edge is shared.
    assert all(share < 0.03 for number, share in enumerate(shares, start=1) if number not in scene.obstacles)
    assert not changed[(columns < edges[0] - 1) | (columns > edges[-1] + 1)].any()


@pytest.mark.parametrize(
    ("way", "count", "obstacles", "reference"),
    [
        ("lane", 3, {2: "一辆货车"}, "道路共有三条车道，自左向右第2条车道被一辆货车占用，第1、3条车道可以正常通行。"),
        ("track", 2, {1: "几块落石"}, "铁路共有两股轨道，自左向右第1股轨道被几块落石占用，第2股轨道可以正常通行。"),
        ("lane", 4, {}, "道路共有四条车道，均未被占用，可以正常通行。"),
        (
            "lane",
            2,
            {2: "一辆货车", 1: "几块落石"},
            "道路共有两条车道，自左向右第1条车道被几块落石占用，自左向右第2条车道被一辆货车占用，没有可以通行的车道。",
        ),
    ],
)
def test_the_reference_says_what_occupies_which_lane(way, count, obstacles, reference):
    assert RoadScene(way=way, count=count, obstacles=obstacles).reference == reference


def test_rows_have_a_scene_each_and_every_obstacle_appears():
    rows, files = road_occupations(random.Random(0))
    assert len(rows) == len(files) == 20
    assert {f"images/{file}" for file in files} == {image for row in rows for image in row["images"]}
    assert all(any(what in row["reference"] for row in rows) for what in OBSTACLES)
    assert sum("均未被占用" in row["reference"] for row in rows) == 2
