"""Folders in the format of COCO: examples of one and two modalities, checks before a run, counts, hashes."""

import itertools
import logging
import re
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from jaxkd.data.images import image_batches
from jaxkd.data.images.detection import BoxAugmentation, CocoFolder, coco_folder
from jaxkd.data.images.detection.thermal_range import scale_counts
from jaxkd.runtime import configs
from tests.data.images.detection.coco_data import annotation, entries, save, thermal, visible, write_json, write_pairs

SPLITS = ("train", "validation", "test")
OWN = {"height": 20, "width": 30}
"""The images' own size."""


@pytest.fixture
def pairs(tmp_path):
    return write_pairs(tmp_path)


def source(folder, **changes):
    return CocoFolder(path=str(folder), **{**OWN, "modalities": "both", **changes})


def rewrite(folder, split="train", **changes):
    """Write the list of a split anew: images a and b, an object of each class."""
    objects = [annotation(1, 1, [2, 4, 10, 8]), annotation(2, 1, [0, 0, 3, 3], category=7)]
    given = {"images": entries(["a.png", "b.png"]), "annotations": objects}
    write_json(folder / "annotations" / f"{split}.json", **given | changes)


def test_pairs_are_images_of_four_channels_with_their_boxes(pairs):
    found = source(pairs)
    assert (found.size, found.classes) == ((20, 30), ("person", "lamp"))
    for place, (split, names) in enumerate({"train": "ab", "validation": "cd", "test": "ef"}.items()):
        examples = found.examples(split)
        assert [(one.key, one.group) for one in examples] == [(name, name) for name in names]
        assert found.groups(split) == [(name, name) for name in names]
        for seed, example in enumerate(examples, start=10 * place):
            np.testing.assert_array_equal(example.image[..., :3], visible(seed))
            np.testing.assert_array_equal(example.image[..., 3], thermal(seed))
        first, second = (example.target for example in examples)
        np.testing.assert_array_equal(first.corners, [[2, 4, 12, 12], [20.5, 0, 30, 20], [15, 10, 30, 14]])
        assert (first.classes.tolist(), first.ignored.tolist()) == ([0, 1, 1], [False, True, False])
        assert (first.mask.all(), second.mask.any(), second.corners.shape) == (True, False, (3, 4))
    found.validate()


@pytest.mark.parametrize("modalities", ["visible", "infrared"])
def test_one_modality_has_three_channels(pairs, modalities):
    (example, _) = source(pairs, modalities=modalities).examples("train")
    np.testing.assert_array_equal(
        example.image, visible(0) if modalities == "visible" else thermal(0)[..., None].repeat(3, axis=-1)
    )
    source(pairs, modalities=modalities).validate()


def test_a_plain_folder_of_images_will_do(pairs):
    (pairs / "visible").rename(pairs / "images")
    assert len(source(pairs, modalities="visible").examples("test")) == 2
    (pairs / "images").rename(pairs / "RGB")
    (pairs / "infrared").rename(pairs / "T")
    source(pairs, visible="RGB", infrared="T").validate()


def test_images_are_letterboxed_with_their_boxes(pairs):
    (example, _) = source(pairs, height=50, width=60).examples("train")
    assert example.image.shape == (50, 60, 4)
    assert not example.image[:5].any()
    assert not example.image[45:].any()
    assert example.image[5:45].all()
    expected = [[4, 13, 24, 29], [41, 5, 60, 45], [30, 25, 60, 33]]
    np.testing.assert_allclose(example.target.corners, expected, rtol=1e-6)


def test_boxes_of_all_splits_have_one_number_of_rows(pairs):
    rewrite(pairs, "train")
    for split in SPLITS:
        assert {one.target.mask.shape for one in source(pairs).examples(split)} == {(3,)}
    for split in SPLITS:
        rewrite(pairs, split, annotations=[])
    assert source(pairs).examples("test")[0].target.mask.tolist() == [False]


def test_16_bits_are_scaled_by_the_percentiles_of_the_training_split(tmp_path, caplog):
    write_pairs(tmp_path, sixteen=True)
    counts = np.concatenate([thermal(seed, sixteen=True).ravel() for seed in (0, 1)])
    low, high = np.percentile(counts, [1, 99], method="inverted_cdf")
    with caplog.at_level(logging.INFO, logger=coco_folder.__name__):
        for split, seed in {"train": 0, "test": 20}.items():
            (example, _) = source(tmp_path).examples(split)
            expected = scale_counts(thermal(seed, sixteen=True), low=low, high=high)
            np.testing.assert_array_equal(example.image[..., 3], expected)
    message = f"thermal_range=({low}, {high}): 1st and 99th percentile of 2 thermal training images"
    assert [record.getMessage() for record in caplog.records] == [message]
    source(tmp_path).validate()


def test_16_bits_are_scaled_by_a_range_or_by_image_if_asked(tmp_path):
    write_pairs(tmp_path, sixteen=True)
    counts = thermal(0, sixteen=True)
    (given, _) = source(tmp_path, thermal_range=(7100, 9000)).examples("train")
    np.testing.assert_array_equal(given.image[..., 3], scale_counts(counts, low=7100, high=9000))
    (own, _) = source(tmp_path, thermal_range="image", modalities="infrared").examples("train")
    low, high = np.percentile(counts, [1, 99], method="inverted_cdf")
    np.testing.assert_array_equal(own.image[..., 1], scale_counts(counts, low=low, high=high))


def test_8_bits_among_16_are_refused(tmp_path):
    write_pairs(tmp_path, sixteen=True)
    save(tmp_path / "infrared" / "f.png", thermal(21))
    with pytest.raises(
        ValueError, match=r"thermal images must have 8 bits, or 16, .* 8 in .*/f\.png and 16 in .*\.png"
    ):
        source(tmp_path).validate()


def test_threads_read_the_same_and_measure_once(tmp_path, monkeypatch):
    write_pairs(tmp_path, sixteen=True)
    measured = []
    original = coco_folder.measure_range
    monkeypatch.setattr(coco_folder, "measure_range", lambda paths: measured.append(len(paths)) or original(paths))
    examples = source(tmp_path, memory_mib=0).examples("test")
    barrier = threading.Barrier(4)

    def read(_):
        barrier.wait(timeout=30)
        return [one.image for one in examples]

    with ThreadPoolExecutor(4) as pool:
        first, *others = pool.map(read, range(4))
    for other in others:
        np.testing.assert_array_equal(first, other)
    assert measured == [2]


def test_images_are_read_when_they_are_indexed_and_kept(pairs, monkeypatch):
    read = []
    original = coco_folder.reading.read_image
    monkeypatch.setattr(coco_folder.reading, "read_image", lambda path: read.append(path.name) or original(path))
    found = source(pairs)
    examples = found.examples("train")
    assert (len(examples), read) == (2, [])
    assert examples[1] is found.examples("train")[1]
    assert read == ["b.png"]
    with pytest.raises(ValueError, match="read-only"):
        examples[1].target.corners[0] = 1


def test_a_changed_list_or_image_is_read_again(pairs):
    found = source(pairs)
    assert found.examples("train")[0].target.mask.sum() == 3
    rewrite(pairs)
    assert found.examples("train")[0].target.mask.sum() == 2
    save(pairs / "visible" / "a.png", 255 - visible(0), compress_level=0)
    np.testing.assert_array_equal(found.examples("train")[0].image[..., :3], 255 - visible(0))
    (pairs / "infrared" / "a.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"infrared/a\.png must be an image that can be read"):
        found.validate()


def test_a_stream_resumes_exactly(pairs):
    def stream():
        return iter(
            image_batches(
                source(pairs).examples("train"), rows=3, seed=0, augmentation=BoxAugmentation(modality_shift=2)
            )
        )

    first = stream()
    list(itertools.islice(first, 2))
    resumed = stream()
    resumed.set_state(first.get_state())
    for one, other in zip(itertools.islice(first, 3), itertools.islice(resumed, 3), strict=True):
        np.testing.assert_array_equal(one.images, other.images)
        np.testing.assert_array_equal(one.targets.corners, other.targets.corners)
        assert one.targets.mask.shape == (3, 3)


def test_black_images_clipped_boxes_and_crowds_are_counted_and_logged(pairs, caplog):
    save(pairs / "infrared" / "a.png", np.zeros((20, 30), np.uint8))
    with caplog.at_level(logging.INFO, logger=coco_folder.__name__):
        source(pairs).validate()
    text = (
        "2 images (1 without objects, 0 black in visible, 1 black in infrared) and 3 objects (1 crowds, 1 clipped): "
        "person 1, lamp 2"
    )
    assert str(source(pairs).counts("train")) == text
    assert f"{pairs}: train has {text}" in caplog.text
    assert dict(source(pairs).counts("test").black) == {"visible": 0, "infrared": 0}
    assert not source(pairs).examples("train")[0].image[..., 3].any()


def test_pairs_of_two_sizes_are_refused(pairs):
    save(pairs / "infrared" / "c.png", thermal(10, size=(20, 31)))
    message = r"infrared/c\.png must have the size of .*/visible/c\.png, 20 x 30, got 20 x 31\. Resize or crop"
    with pytest.raises(ValueError, match=message):
        source(pairs).validate()
    with pytest.raises(ValueError, match=message):
        source(pairs).examples("validation")[0]


def test_an_image_of_another_size_than_listed_is_refused(pairs):
    rewrite(pairs, images=entries(["a.png", "b.png"], size=(10, 15)))
    message = (
        r"visible/a\.png must have the size that .*/train\.json lists, 10 x 15, got 20 x 30\. 2 images of .* cannot"
    )
    with pytest.raises(ValueError, match=message):
        source(pairs).validate()


def turned(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return {"exif": exif}


def test_boxes_are_those_of_the_image_that_exif_turned_upright(pairs):
    save(pairs / "visible" / "a.png", visible(0, size=(30, 20)), **turned(6))
    (example, _) = source(pairs, modalities="visible").examples("train")
    np.testing.assert_array_equal(example.image, np.rot90(visible(0, size=(30, 20)), -1))
    save(pairs / "visible" / "a.png", visible(0), **turned(6))
    with pytest.raises(ValueError, match=r"20 x 30, got 30 x 20\. The image is upright by its EXIF: give the boxes of"):
        source(pairs, modalities="visible").validate()


@pytest.mark.parametrize(("orientation", "size"), [(3, (20, 30)), (2, (20, 30)), (8, (20, 20))])
def test_a_turn_that_the_size_does_not_show_is_refused(pairs, orientation, size):
    save(pairs / "visible" / "a.png", visible(0, size=size), **turned(orientation))
    images = [*entries(["a.png"], size=size), *entries(["b.png"], first=2)]
    rewrite(pairs, images=images)
    with pytest.raises(ValueError, match=rf"a\.png must not be turned by EXIF \(orientation {orientation}\) in a way"):
        source(pairs, modalities="visible").validate()


def test_a_damaged_image_is_named(pairs):
    for name in ("visible/a.png", "infrared/f.png"):
        (pairs / name).write_bytes((pairs / name).read_bytes()[:60])
    message = r"visible/a\.png must be an image that can be read.* 2 images of .* cannot be used\."
    with pytest.raises(ValueError, match=message):
        source(pairs).validate()


def test_one_group_in_two_splits_is_refused(pairs):
    rewrite(pairs, "test")
    with pytest.raises(
        ValueError, match=r"the group 'a' must be in one split of CocoFolder, got 'a' in train and 'a' in"
    ):
        source(pairs).validate()


def test_groups_are_those_of_the_pattern(pairs):
    for folder in ("visible", "infrared"):
        for old, new in {"a": "day_1", "b": "day_2", "e": "day_3", "f": "night_1"}.items():
            (pairs / folder / f"{old}.png").rename(pairs / folder / f"{new}.png")
    rewrite(pairs, images=entries(["day_1.png", "day_2.png"]))
    rewrite(pairs, "validation", images=entries(["c.png"]), annotations=[])
    rewrite(pairs, "test", images=entries(["day_3.png", "night_1.png"]))
    source(pairs).validate()
    scenes = source(pairs, group_pattern="([a-z]+)")
    assert scenes.groups("test") == [("day_3", "day"), ("night_1", "night")]
    with pytest.raises(ValueError, match=r"the group 'day' must be in one split of CocoFolder"):
        scenes.validate()


def test_objects_of_a_class_that_training_lacks_are_refused(pairs):
    rewrite(pairs, annotations=[annotation(1, 1, [2, 4, 10, 8])])
    message = (
        r"validation\.json: every class must have objects in the training split, got lamp in validation alone, for "
        r"example in c\.png"
    )
    with pytest.raises(ValueError, match=message):
        source(pairs).validate()


def test_a_class_that_only_training_has_is_logged(pairs, caplog):
    rewrite(pairs, "test", images=entries(["e.png", "f.png"]), annotations=[annotation(1, 1, [2, 4, 10, 8])])
    source(pairs).validate()
    assert "test has no objects of lamp: test cannot tell how well they are found" in caplog.text


def test_equal_images_in_two_splits_and_an_empty_split_are_logged(pairs, caplog):
    (pairs / "infrared" / "f.png").write_bytes((pairs / "infrared" / "b.png").read_bytes())
    (pairs / "annotations" / "validation.json").unlink()
    source(pairs).validate()
    assert "train and test share 1 images, for example b and f" in caplog.text
    assert f"{pairs}: no group falls into the validation split; it is empty" in caplog.text


def test_the_hash_is_that_of_boxes_and_images(pairs):
    found = source(pairs)
    before = {split: found.input_hashes(split)["path"] for split in SPLITS}
    assert len(set(before.values())) == 3
    assert source(pairs, height=8).input_hashes("train")["path"] == before["train"]
    rewrite(pairs)
    moved = found.input_hashes("train")["path"]
    assert moved != before["train"]
    save(pairs / "infrared" / "b.png", thermal(99))
    assert found.input_hashes("train")["path"] not in (moved, before["train"])
    assert found.input_hashes("test")["path"] == before["test"]


def test_it_is_a_config(pairs):
    for given in (source(pairs), source(pairs, thermal_range=(7000, 9000), test="annotations/test.json")):
        encoded = configs.encode(given)
        assert encoded["type"] == "jaxkd.data.images.detection:CocoFolder"
        assert configs.decode(encoded) == given


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"height": 0}, "height must be at least 1, got 0"),
        ({"memory_mib": -1}, "memory_mib must be at least 0, got -1"),
        ({"modalities": "thermal"}, "modalities must be one of visible, infrared, both, got 'thermal'"),
        ({"thermal_range": "test"}, "thermal_range must be two counts, 'train' or 'image', got 'test'"),
        (
            {"thermal_range": (9, 9)},
            "thermal_range must be two counts in [0, 65535], the smaller one first, got (9, 9)",
        ),
        ({"thermal_range": (0, 1e5)}, "thermal_range must be two counts in [0, 65535]"),
        ({"group_pattern": "scene"}, "group_pattern must be a regular expression with a group, got 'scene'"),
    ],
)
def test_a_bad_config_is_refused(changed, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        CocoFolder(path="x", **changed)
