"""COCO's average precision against its definition in plain loops, by hand, and against COCO's own program."""

import contextlib
import dataclasses
import io
import sys

import numpy as np
import pytest

from jaxkd.metrics.average_precision import IOU_THRESHOLDS, SIZE_RANGES, average_precision, match_image
from tests.metrics.detection_scenes import Scene, boxes, random_scene, scenes, scored, simple, values

LIMITS = {"all": (0, 1e10), "small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, 1e10)}


def ratio_of_areas(box, truth, crowd):
    width = min(box[2], truth[2]) - max(box[0], truth[0])
    height = min(box[3], truth[3]) - max(box[1], truth[1])
    if width <= 0 or height <= 0:
        return 0.0
    own, other = ((one[2] - one[0]) * (one[3] - one[1]) for one in (box, truth))
    return width * height / (own if crowd else own + other - width * height)


def rights(scene, one, limits, threshold, most=100):
    """(score, right) of each detection of a class that counts in one image, and the number of objects that count."""
    areas = [(right - left) * (bottom - top) for left, top, right, bottom in scene.truths]
    areas = areas if scene.areas is None else scene.areas
    crowds = np.zeros(len(areas), bool) if scene.ignored is None else scene.ignored
    truths = [place for place in range(len(areas)) if scene.truth_classes[place] == one]
    outside = {place: bool(crowds[place]) or not limits[0] <= areas[place] <= limits[1] for place in truths}
    found = sorted(
        (place for place in range(len(scene.scores)) if scene.classes[place] == one),
        key=lambda place: -scene.scores[place],
    )
    taken, rows = set(), []
    for place in found[:most]:
        box, best = scene.corners[place], None
        for counts in (True, False):
            for truth in truths:
                if outside[truth] == counts or truth in taken:
                    continue
                overlap = ratio_of_areas(box, scene.truths[truth], crowds[truth])
                if overlap >= threshold and (best is None or overlap >= best[0]):
                    best = overlap, truth
            if best:
                break
        if best:
            if not crowds[best[1]]:
                taken.add(best[1])
            if not outside[best[1]]:
                rows.append((scene.scores[place], True))
        elif limits[0] <= (box[2] - box[0]) * (box[3] - box[1]) <= limits[1]:
            rows.append((scene.scores[place], False))
    return rows, sum(not one for one in outside.values())


def by_definition(all_scenes, name, thresholds=IOU_THRESHOLDS):
    """The mean over classes and thresholds, from lists; NaN for no class."""
    each = []
    for one in sorted({int(one) for scene in all_scenes for one in (*scene.classes, *scene.truth_classes)}):
        for threshold in thresholds:
            per_image = [rights(scene, one, LIMITS[name], threshold) for scene in all_scenes]
            objects = sum(number for _, number in per_image)
            if not objects:
                continue
            ranked = sorted((row for rows, _ in per_image for row in rows), key=lambda row: -row[0])
            hits = np.cumsum([right for _, right in ranked])
            points = [(hit / objects, hit / (place + 1)) for place, hit in enumerate(hits)]
            each.append(
                np.mean([max((p for r, p in points if r >= level), default=0) for level in np.linspace(0, 1, 101)])
            )
    return np.mean(each) if each else np.nan


def test_hand_values():
    """Two of three objects, with a wrong box between them."""
    truths = [(0, 0, 10, 10), (20, 0, 30, 10), (40, 0, 50, 10)]
    found = simple([truths[0], (70, 0, 80, 10), (20, 0, 30, 8)], [0.9, 0.8, 0.7], truths)
    # Recall 1/3 at precision 1, then 2/3 at precision 2/3: 34 and 33 of the 101 recalls.
    half = (34 + 33 * 2 / 3) / 101
    # The third box overlaps its object by .8, which is above seven of the ten thresholds.
    result = scored([found])
    assert values(result)[:4] == pytest.approx([(7 * half + 3 * 34 / 101) / 10, half, half, float(result.ap)])
    assert np.isnan(values(result)[4:]).all()
    assert (result.classes.tolist(), result.class_ap50.tolist()) == ([0], [pytest.approx(half)])
    assert found.matches().matched[0].sum(axis=1).tolist() == [2] * 7 + [1] * 3


def test_a_second_box_on_an_object_is_wrong():
    truths = [(0, 0, 10, 10), (20, 0, 30, 10)]
    twice = scored([simple([truths[0], truths[0], truths[1]], [0.9, 0.8, 0.7], truths)])
    assert twice.ap == pytest.approx((51 + 50 * 2 / 3) / 101)
    # Below all others it costs nothing.
    assert scored([simple([truths[0], truths[0], truths[1]], [0.9, 0.6, 0.7], truths)]).ap == 1


def test_a_box_takes_the_object_that_it_overlaps_most_and_of_equals_the_last():
    truths = [(0, 0, 10, 10), (0, 0, 10, 8), (0, 0, 10, 10)]
    matches = simple([(0, 0, 10, 10)] * 4, [0.4, 0.3, 0.2, 0.1], truths).matches()
    assert matches.matched[0, 0].tolist() == [True, True, True, False]
    assert matches.matched[0, 7].tolist() == [True, True, False, False]  # .8 is not .85
    low = simple([(0, 0, 10, 8), (0, 0, 10, 10), (0, 0, 10, 10)], [0.4, 0.3, 0.2], truths[1:]).matches()
    assert low.matched[0, 9].tolist() == [True, True, False]


def test_crowds_take_any_number_of_boxes_which_do_not_count():
    truths = [(0, 0, 10, 10), (20, 0, 60, 40)]
    ignored = np.array([False, True])
    inside = [(20 + 4 * step, 0, 24 + 4 * step, 4) for step in range(8)]
    scene = simple([*inside, truths[0]], np.linspace(0.9, 0.2, 9), truths, ignored=ignored)
    matches = scene.matches()
    # A box within the crowd lies in it by all of its area, though that is a hundredth of the crowd's.
    assert matches.ignored[0, :, :8].all()
    assert matches.counted.tolist() == [[True, False], [True, False], [False, False], [False, False]]
    assert scored([scene]).ap == 1
    assert scored([dataclasses.replace(scene, ignored=None)]).ap50 < 0.2
    # An object that counts comes first, whatever the overlap with the crowd.
    over = simple([(0, 0, 10, 8)], [0.9], [(0, 0, 40, 40), (0, 0, 10, 10)], ignored=np.array([True, False]))
    assert over.matches().ignored[0].any(axis=1).tolist() == [False] * 7 + [True] * 3


def test_sizes_are_those_of_the_objects_or_of_the_areas_that_are_given():
    side = {"small": 20, "medium": 50, "large": 120}
    found = [(0, 0, length, length) for length in side.values()]
    for name, length in side.items():
        result = scored([simple(found, [0.9, 0.8, 0.7], [(0, 0, length, length)])])
        assert getattr(result, f"ap_{name}") == 1, "boxes of other sizes do not count"
        others = [getattr(result, f"ap_{other}") for other in side if other != name]
        assert np.isnan(others).all()
    masks = scored([simple([(0, 0, 40, 40)], [0.9], [(0, 0, 40, 40)], areas=np.array([900.0]))])
    assert (masks.ap_small, np.isnan(masks.ap_medium)) == (1, True)
    # 32 x 32 is small and medium, as in COCO.
    edge = scored([simple([(0, 0, 32, 32)], [0.9], [(0, 0, 32, 32)])])
    assert (edge.ap_small, edge.ap_medium) == (1, 1)


def test_at_most_a_hundred_boxes_of_a_class_count():
    truth = (0, 0, 10, 10)
    wrong = [(50, 50, 60, 60)] * 100
    scene = simple([*wrong, truth], np.linspace(0.9, 0.1, 101), [truth])
    assert len(scene.matches().scores) == 100
    assert scored([scene]).ap == 0
    assert average_precision([scene.matches(most=101)]).ap == pytest.approx(1 / 101)
    other = dataclasses.replace(scene, classes=np.arange(101) // 100, truth_classes=np.array([1]))
    assert len(other.matches().scores) == 101
    assert scored([other]).ap == 1


def test_images_and_classes_without_boxes_or_objects():
    truth = (0, 0, 10, 10)
    hit, miss = simple([truth], [0.5], [truth]), simple([], [], [truth])
    alone, nothing = simple([truth], [0.9], []), simple([], [], [])
    assert scored([hit, nothing]).ap == 1
    assert scored([miss]).ap == 0
    assert scored([hit, miss]).ap == pytest.approx(51 / 101)
    assert scored([alone, hit]).ap == pytest.approx(1 / 2)
    for empty in ([nothing], [alone], [simple([truth], [0.5], [truth], ignored=np.array([True]))]):
        assert np.isnan(values(scored(empty))).all()
    # A class without objects is no part of the mean.
    result = scored([hit, dataclasses.replace(alone, classes=np.array([7]))])
    assert (result.ap, result.classes.tolist()) == (1, [0, 7])
    np.testing.assert_array_equal(result.class_ap, [1, np.nan])


@pytest.mark.parametrize("ties", [False, True])
def test_equals_its_definition_in_loops(ties):
    for seed in range(6):
        all_scenes = scenes(seed, 5, ties=ties, classes=2)
        result = scored(all_scenes)
        for name, field in zip(SIZE_RANGES, ("ap", "ap_small", "ap_medium", "ap_large"), strict=True):
            np.testing.assert_allclose(getattr(result, field), by_definition(all_scenes, name), rtol=1e-12)
        np.testing.assert_allclose(result.ap50, by_definition(all_scenes, "all", (0.5,)), rtol=1e-12)
        np.testing.assert_allclose(result.ap75, by_definition(all_scenes, "all", (0.75,)), rtol=1e-12)


def test_a_perfect_detector_has_one():
    for scene in scenes(1, 20):
        perfect = dataclasses.replace(
            scene, corners=scene.truths, classes=scene.truth_classes, scores=np.ones(len(scene.truths)), areas=None
        )
        found = values(scored([perfect]))
        assert (np.isnan(found) | (found == 1)).all()
        assert np.isnan(found[0]) == (scene.ignored.all())


def test_the_order_of_images_and_boxes_does_not_matter():
    all_scenes = scenes(2, 12)
    rng = np.random.default_rng(0)
    shuffled = []
    for place in rng.permutation(12):
        scene = all_scenes[place]
        found, truths = rng.permutation(len(scene.scores)), rng.permutation(len(scene.truths))
        areas = None if scene.areas is None else scene.areas[truths]
        shuffled.append(
            Scene(
                *(one[found] for one in (scene.corners, scene.scores, scene.classes)),
                *(one[truths] for one in (scene.truths, scene.truth_classes, scene.ignored)),
                areas,
            )
        )
    np.testing.assert_allclose(values(scored(shuffled)), values(scored(all_scenes)), rtol=1e-12)


def test_a_box_below_all_others_never_costs_anything():
    rng = np.random.default_rng(3)
    gained = 0.0
    for scene in scenes(3, 60, most=5, crowds=False):
        if not len(scene.truths):
            continue
        pick = rng.integers(len(scene.truths))
        longer = dataclasses.replace(
            scene,
            corners=np.concatenate([scene.corners, scene.truths[pick : pick + 1] + rng.choice([0, 2])]),
            scores=np.append(scene.scores, -1.0),
            classes=np.append(scene.classes, scene.truth_classes[pick]),
        )
        before, after = scored([scene]), scored([longer])
        assert after.ap >= before.ap
        gained += after.ap - before.ap
    assert gained > 1


def test_only_the_order_of_scores_counts():
    all_scenes = scenes(4, 10)
    large = [dataclasses.replace(one, scores=1e4 * (one.scores - 0.5)) for one in all_scenes]
    near = [dataclasses.replace(one, scores=1 + 2.0**-40 * one.scores) for one in all_scenes]
    for others in (large, near):
        np.testing.assert_array_equal(values(scored(others)), values(scored(all_scenes)))


def test_counts_repeat_images_and_leave_them_out():
    all_scenes = scenes(5, 10)
    counts = np.random.default_rng(1).integers(0, 4, (7, 10))
    together = scored(all_scenes, counts=counts)
    assert together.class_ap50.shape == (7, 3)
    for row, drawn in enumerate(counts):
        repeated = scored([one for one, number in zip(all_scenes, drawn, strict=True) for _ in range(number)])
        np.testing.assert_allclose(values(together)[:, row], values(repeated), rtol=1e-12)
        alone = scored(all_scenes, counts=drawn)
        np.testing.assert_array_equal(values(together)[:, row], values(alone))
        np.testing.assert_array_equal(together.class_ap50[row], alone.class_ap50)
    np.testing.assert_array_equal(values(scored(all_scenes, counts=np.ones(10, int))), values(scored(all_scenes)))
    assert np.isnan(scored(all_scenes, counts=np.zeros(10, int)).ap)


def test_many_resamples_are_computed_in_parts(monkeypatch):
    all_scenes = scenes(6, 6)
    counts = np.random.default_rng(1).integers(0, 3, (9, 6))
    whole = scored(all_scenes, counts=counts)
    # The package has a function of the module's name.
    monkeypatch.setattr(sys.modules[match_image.__module__], "_CHUNK_ELEMENTS", 20)
    np.testing.assert_array_equal(values(scored(all_scenes, counts=counts)), values(whole))


def test_ranges_that_are_not_asked_for_are_nan():
    all_scenes = scenes(7, 8)
    whole, one = scored(all_scenes), scored(all_scenes, ranges=("all",))
    np.testing.assert_array_equal(values(one)[:3], values(whole)[:3])
    assert np.isnan(values(one)[3:]).all()
    assert not np.isnan(values(whole)[3])


@pytest.mark.usefixtures("unchecked_shapes")
def test_other_arguments_are_refused():
    scene = simple([(0, 0, 2, 2)], [0.5], [(0, 0, 2, 2)])
    for changes, message in (
        ({"scores": np.zeros(2)}, r"scores must have one value for each row of corners, got \(2,\) and \(1, 4\)"),
        ({"truth_classes": np.zeros(0, int)}, "truth_classes must have one value for each row of truth_corners"),
        ({"areas": np.zeros(3)}, "truth_areas must have one value for each row of truth_corners"),
        ({"corners": boxes((2, 0, 0, 2))}, r"corners must be finite and \(left, top, right, bottom\), got inf, nan or"),
        ({"truths": boxes((0, 0, np.inf, 2))}, r"truth_corners must be finite and \(left, top, right, bottom\)"),
        ({"scores": np.array([np.nan])}, "scores and truth_areas must be finite, got inf or nan"),
    ):
        with pytest.raises(ValueError, match=message):
            dataclasses.replace(scene, **changes).matches()
    with pytest.raises(ValueError, match="matches must hold at least one image, got none"):
        average_precision([])
    with pytest.raises(ValueError, match="ranges must be of all, small, medium, large, got 'tiny'"):
        scored([scene], ranges=("tiny",))
    for counts in (np.ones(2, int), np.array([-1]), np.ones((3, 0), int)):
        with pytest.raises(ValueError, match="counts must have a number of at least 0 for each of 1 images, got shape"):
            scored([scene], counts=counts)


def by_coco(pycocotools, all_scenes):
    """The first six figures of COCO's program; its -1 as NaN."""
    truths, found = [], []
    for image, scene in enumerate(all_scenes, start=1):
        for place, (left, top, right, bottom) in enumerate(scene.truths):
            area = (right - left) * (bottom - top) if scene.areas is None else scene.areas[place]
            truths.append(
                {
                    "id": len(truths) + 1,
                    "image_id": image,
                    "category_id": int(scene.truth_classes[place]),
                    "bbox": [left, top, right - left, bottom - top],
                    "area": float(area),
                    "iscrowd": int(scene.ignored[place]),
                }
            )
        for (left, top, right, bottom), score, one in zip(scene.corners, scene.scores, scene.classes, strict=True):
            found.append(
                {
                    "id": len(found) + 1,
                    "image_id": image,
                    "category_id": int(one),
                    "bbox": [left, top, right - left, bottom - top],
                    "area": (right - left) * (bottom - top),
                    "score": float(score),
                }
            )
    with contextlib.redirect_stdout(io.StringIO()):
        sides = []
        for annotations in (truths, found):
            side = pycocotools.COCO()
            side.dataset = {
                "images": [{"id": image + 1} for image in range(len(all_scenes))],
                "categories": [{"id": one} for one in range(4)],
                "annotations": annotations,
            }
            side.createIndex()
            sides.append(side)
        evaluation = pycocotools.COCOeval(*sides, iouType="bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return np.where(evaluation.stats[:6] == -1, np.nan, evaluation.stats[:6])


@pytest.mark.slow
def test_equals_pycocotools_on_300_random_sets():
    coco = pytest.importorskip("pycocotools.coco")
    coco.COCOeval = pytest.importorskip("pycocotools.cocoeval").COCOeval
    rng = np.random.default_rng(0)
    unknown = 0
    for number in range(300):
        # Each tenth set has more boxes of a class in an image than count.
        most = 400 if number % 10 == 0 else 14
        count, classes = int(rng.integers(1, 12)), int(rng.integers(1, 5))
        all_scenes = [random_scene(rng, classes=classes, ties=number % 2 == 0, most=most) for _ in range(count)]
        ours, theirs = values(scored(all_scenes)), by_coco(coco, all_scenes)
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-9)
        unknown += np.isnan(theirs).sum()
    assert 0 < unknown < 900
