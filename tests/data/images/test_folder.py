"""Folders of images and masks: examples, checks before a run, hashes of what a run read."""

import logging
import re

import numpy as np
import pytest
from PIL import Image

from jaxkd.data.images import ImageFolder, require_disjoint_groups
from jaxkd.data.images import folder as folder_module
from jaxkd.records import UNLABELLED

RNG = np.random.default_rng(0)
STEMS = tuple(f"ISIC_{number:04d}" for number in range(12))


def write(folder, stems=STEMS, size=(20, 30)):
    """Noise, with a bright rectangle that is the foreground."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for stem in stems:
        mask = np.zeros(size, np.uint8)
        mask[4:12, 10:20] = 255
        image = RNG.integers(0, 100, (*size, 3)).astype(np.uint8) + (mask // 2)[..., None]
        Image.fromarray(image).save(folder / "images" / f"{stem}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{stem}_segmentation.png")
    return folder


@pytest.fixture
def split_folder(tmp_path):
    """Train, val and test."""
    for part, prefix in {"train": "a", "val": "b", "test": "c"}.items():
        write(tmp_path / part, [f"{prefix}{number}" for number in range(3)])
    return tmp_path


def test_examples_are_resized_images_with_their_masks(split_folder):
    source = ImageFolder(path=str(split_folder), height=10, width=15)
    assert source.size == (10, 15)
    for split, prefix in {"train": "a", "validation": "b", "test": "c"}.items():
        found = source.examples(split)
        assert [example.group for example in found] == [f"{prefix}{number}" for number in range(3)]
        for example in found:
            assert (example.image.shape, example.image.dtype) == ((10, 15, 3), np.uint8)
            assert (example.target.shape, example.target.dtype) == ((10, 15), np.uint8)
            expected = np.zeros((10, 15))
            expected[2:6, 5:10] = 1
            np.testing.assert_array_equal(example.target, expected)
            assert example.image[expected == 1].mean() > example.image[expected == 0].mean() + 50
    assert source.examples("train")[0].key == "train/a0"
    assert source.groups("test") == [("test/c0", "c0"), ("test/c1", "c1"), ("test/c2", "c2")]
    source.validate()


def test_in_its_own_size_an_image_is_unchanged(split_folder):
    (example, *_) = ImageFolder(path=str(split_folder), height=20, width=30).examples("train")
    with Image.open(split_folder / "train" / "images" / "a0.png") as image:
        np.testing.assert_array_equal(example.image, np.asarray(image))


def test_files_are_read_when_they_are_indexed_and_kept(split_folder, monkeypatch):
    read = []
    original = folder_module.reading.read_image

    def watched(path):
        read.append(path.name)
        return original(path)

    monkeypatch.setattr(folder_module.reading, "read_image", watched)
    source = ImageFolder(path=str(split_folder))
    found = source.examples("train")
    assert (len(found), read) == (3, [])
    assert found[1] is source.examples("train")[1]
    assert read == ["a1.png"]
    forgetful = ImageFolder(path=str(split_folder), memory_mib=0).examples("train")
    assert forgetful[1] is not forgetful[1]
    assert len(read) == 3


def test_a_changed_file_is_read_again(split_folder):
    source = ImageFolder(path=str(split_folder), height=20, width=30)
    source.validate()
    before = source.examples("train")[0].image
    Image.fromarray(255 - before).save(split_folder / "train" / "images" / "a0.png", compress_level=0)
    np.testing.assert_array_equal(source.examples("train")[0].image, 255 - before)
    (split_folder / "train" / "masks" / "a0_segmentation.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"a0_segmentation\.png must be an image that can be read"):
        source.validate()


def test_images_without_masks_are_for_training(split_folder):
    folder = ImageFolder(path=str(split_folder), height=8, width=8)
    hashes = folder.input_hashes("train")
    (split_folder / "train/unlabelled").mkdir()
    Image.fromarray(RNG.integers(0, 255, (20, 30, 3)).astype(np.uint8)).save(split_folder / "train/unlabelled/x.png")
    *_, last = folder.examples("train")
    assert (last.key, last.group) == ("train/unlabelled/x", "x")
    assert last.image.shape == (8, 8, 3)
    np.testing.assert_array_equal(last.target, np.full((8, 8), UNLABELLED, np.uint8))
    assert [key for key, _ in folder.groups("train")].count("train/unlabelled/x") == 1
    assert not any("unlabelled" in key for split in ("validation", "test") for key, _ in folder.groups(split))
    folder.validate()
    assert folder.input_hashes("train") != hashes


def test_a_home_folder_is_expanded(split_folder, monkeypatch):
    monkeypatch.setenv("HOME", str(split_folder))
    assert len(ImageFolder(path="~").examples("train")) == 3


def test_a_mask_of_another_size_is_named(split_folder):
    path = split_folder / "val" / "masks" / "b1_segmentation.png"
    Image.fromarray(np.zeros((20, 31), np.uint8)).save(path)
    source = ImageFolder(path=str(split_folder))
    message = rf"{path} must have the size of .*/val/images/b1\.png, 20 x 30, got 20 x 31\.$"
    with pytest.raises(ValueError, match=message):
        source.validate()
    with pytest.raises(ValueError, match=message):
        source.examples("validation")[1]
    assert source.examples("validation")[0].group == "b0"


def test_a_mask_that_was_not_turned_with_its_image_is_named(split_folder):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = split_folder / "train" / "images" / "a0.png"
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(path, exif=exif)
    with pytest.raises(
        ValueError, match=r"30 x 20, got 20 x 30\. The image is upright by its EXIF: turn the mask too\."
    ):
        ImageFolder(path=str(split_folder)).validate()
    Image.fromarray(np.zeros((20, 30), np.uint8)).save(
        split_folder / "train" / "masks" / "a0_segmentation.png", exif=exif
    )
    ImageFolder(path=str(split_folder)).validate()


def test_all_bad_files_are_counted_and_the_first_is_shown(split_folder):
    for name in ("train/images/a1.png", "test/images/c0.png", "test/masks/c2_segmentation.png"):
        (split_folder / name).write_bytes((split_folder / name).read_bytes()[:60])
    with pytest.raises(
        ValueError,
        match=r"/a1\.png must be an image that can be read.* 3 pairs of image and mask in .* cannot be used\.",
    ):
        ImageFolder(path=str(split_folder)).validate()


def test_the_threshold_of_masks_is_that_of_the_config(split_folder):
    grey = np.arange(600).reshape(20, 30).astype(np.uint8)
    Image.fromarray(grey).save(split_folder / "train" / "masks" / "a0_segmentation.png")
    with pytest.raises(ValueError, match=r"a0_segmentation\.png must have at most two values"):
        ImageFolder(path=str(split_folder)).validate()
    found = ImageFolder(path=str(split_folder), height=20, width=30, mask_threshold=77)
    found.validate()
    np.testing.assert_array_equal(found.examples("train")[0].target, grey >= 77)


def test_one_group_on_both_sides_is_refused(tmp_path):
    write(tmp_path / "train", ["P1_a", "P2_a"])
    write(tmp_path / "val", ["P2_b", "P3_a"])
    ImageFolder(path=str(tmp_path)).validate()
    by_patient = ImageFolder(path=str(tmp_path), group_pattern=r"(P\d+)_")
    for check in (by_patient.validate, lambda: require_disjoint_groups(by_patient)):
        with pytest.raises(
            ValueError,
            match=r"'P2' must be in one split of ImageFolder, got 'train/P2_a' in train and 'val/P2_b' in test\.",
        ):
            check()


def test_folders_that_number_alike_have_groups_by_a_pattern(tmp_path):
    for part in ("train", "val", "test"):
        write(tmp_path / part, ["0001", "0002"])
    with pytest.raises(ValueError, match=r"the group '0001' must be in one split.* for instance by group_pattern"):
        ImageFolder(path=str(tmp_path)).validate()
    ImageFolder(path=str(tmp_path), group_pattern="(.+)").validate()


def test_equal_images_in_two_splits_are_logged(split_folder, caplog):
    for name in ("a2", "a0"):
        content = (split_folder / "train" / "images" / f"{name}.png").read_bytes()
        (split_folder / "test" / "images" / f"c{name[1]}.png").write_bytes(content)
    with caplog.at_level(logging.INFO, logger=folder_module.__name__):
        ImageFolder(path=str(split_folder)).validate()
    (warning,) = (record.getMessage() for record in caplog.records if record.levelno == logging.WARNING)
    assert warning == "train and test share 2 images, for example train/a0 and test/c0"
    assert f"{split_folder}: 3 images in validation" in caplog.text


def test_an_empty_split_is_logged(tmp_path, caplog):
    write(tmp_path, ["one"])
    with caplog.at_level(logging.WARNING, logger=folder_module.__name__):
        source = ImageFolder(path=str(tmp_path))
        source.validate()
    empty = [split for split in ("train", "validation", "test") if not len(source.examples(split))]
    assert len(empty) == 2
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path}: no group falls into the {split} split; it is empty" for split in empty
    ]


def test_the_hash_is_that_of_the_files_of_a_split(split_folder):
    source = ImageFolder(path=str(split_folder))
    before = {split: source.input_hashes(split) for split in ("train", "validation", "test")}
    assert all(set(found) == {"path"} for found in before.values())
    assert len({found["path"] for found in before.values()}) == 3
    assert ImageFolder(path=str(split_folder), height=8).input_hashes("train") == before["train"]

    image, mask = (split_folder / "train" / name for name in ("images/a1.png", "masks/a1_segmentation.png"))
    for path, content in ((image, image.read_bytes() + b"\0"), (mask, mask.read_bytes() + b"\0")):
        kept = path.read_bytes()
        path.write_bytes(content)
        assert source.input_hashes("train") != before["train"]
        assert source.input_hashes("test") == before["test"]
        path.write_bytes(kept)
        assert source.input_hashes("train") == before["train"]
    image.rename(image.with_name("a9.png"))
    mask.rename(mask.with_name("a9.png"))
    assert source.input_hashes("train") != before["train"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"height": 0}, "height must be at least 1, got 0"),
        ({"width": -1}, "width must be at least 1, got -1"),
        ({"memory_mib": -1}, "memory_mib must be at least 0, got -1"),
        ({"mask_threshold": 0}, "mask_threshold must be in [1, 255], or None, got 0"),
        ({"mask_threshold": 256}, "mask_threshold must be in [1, 255], or None, got 256"),
        ({"group_pattern": "P.*"}, "group_pattern must be a regular expression with a group, got 'P.*'"),
        ({"group_pattern": "(P"}, "group_pattern must be a regular expression with a group, got '(P'"),
    ],
)
def test_a_bad_config_is_refused(changed, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        ImageFolder(path="x", **changed)
