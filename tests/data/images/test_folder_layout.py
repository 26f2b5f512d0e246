"""Layouts of folders, pairs of files, groups and splits."""

import logging
import re

import pytest

from jaxkd.data.examples import stable_split
from jaxkd.data.images import folder_layout
from jaxkd.data.images.folder_layout import split_pairs

STEMS = [f"ISIC_{number:04d}" for number in range(60)]


def write(folder, *, images=(), masks=()):
    """Empty files: their contents are not looked at."""
    for name, files in {"images": images, "masks": masks}.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for file in files:
            (folder / name / file).touch()
    return folder


def pairs(folder, stems, ending="_segmentation"):
    return write(folder, images=[f"{stem}.jpg" for stem in stems], masks=[f"{stem}{ending}.png" for stem in stems])


def keys(splits):
    return {split: [pair.key for pair in found] for split, found in splits.items()}


@pytest.mark.parametrize("ending", ["", "_segmentation", "_mask"])
def test_files_pair_by_stem(tmp_path, ending):
    found = split_pairs(pairs(tmp_path, STEMS, ending))
    for pair in [pair for members in found.values() for pair in members]:
        assert pair.image == tmp_path / "images" / f"{pair.key}.jpg"
        assert pair.mask == tmp_path / "masks" / f"{pair.key}{ending}.png"
        assert pair.group == pair.key


def test_a_flat_folder_is_split_by_hash(tmp_path):
    found = keys(split_pairs(pairs(tmp_path, STEMS)))
    assert found == {split: [stem for stem in STEMS if stable_split(stem) == split] for split in found}
    assert set(found) == {"train", "validation", "test"}
    assert all(found.values())


def test_without_test_val_is_the_test_split_and_validation_is_cut_out_of_train(tmp_path):
    pairs(tmp_path / "train", STEMS)
    pairs(tmp_path / "val", ["x", "y"])
    found = keys(split_pairs(tmp_path))
    assert found["test"] == ["val/x", "val/y"]
    assert found["validation"] == [f"train/{stem}" for stem in STEMS if stable_split(stem) == "validation"]
    assert found["train"] == [f"train/{stem}" for stem in STEMS if stable_split(stem) != "validation"]
    assert found["validation"]


def test_with_test_val_is_the_validation_split(tmp_path):
    for part, stems in {"train": STEMS, "val": ["x", "y"], "test": ["z"]}.items():
        pairs(tmp_path / part, stems)
    found = keys(split_pairs(tmp_path))
    expected = {"train": [f"train/{stem}" for stem in STEMS], "validation": ["val/x", "val/y"], "test": ["test/z"]}
    assert found == expected


def test_with_test_alone_validation_is_cut_out_of_train(tmp_path):
    pairs(tmp_path / "train", STEMS)
    pairs(tmp_path / "test", ["z"])
    found = keys(split_pairs(tmp_path))
    assert found["test"] == ["test/z"]
    assert found["validation"] == [f"train/{stem}" for stem in STEMS if stable_split(stem) == "validation"]


def test_train_alone_is_split_as_a_flat_folder(tmp_path):
    found = keys(split_pairs(pairs(tmp_path / "train", STEMS).parent))
    assert found == {split: [f"train/{stem}" for stem in STEMS if stable_split(stem) == split] for split in found}


def test_the_images_of_a_patient_stay_together(tmp_path):
    stems = [f"P{patient:02d}_{image}" for patient in range(40) for image in range(3)]
    found = split_pairs(pairs(tmp_path, stems), group_pattern=r"(P\d+)_")
    groups = {split: {pair.group for pair in members} for split, members in found.items()}
    assert sum(map(len, groups.values())) == 40
    assert all(len(members) == 3 * len(groups[split]) for split, members in found.items())
    assert groups["test"]


def test_an_exact_name_comes_before_an_ending(tmp_path):
    write(tmp_path, images=["a.jpg", "a_mask.jpg"], masks=["a_mask.png", "a_mask_mask.png"])
    with pytest.raises(ValueError, match=r"a_mask\.jpg must have one mask, got a_mask\.png and a_mask_mask\.png"):
        split_pairs(tmp_path)
    (tmp_path / "masks" / "a_mask_mask.png").rename(tmp_path / "masks" / "a.png")
    found = {pair.key: pair.mask.name for members in split_pairs(tmp_path).values() for pair in members}
    assert found == {"a": "a.png", "a_mask": "a_mask.png"}


@pytest.mark.parametrize("suffix", ["JPG", "jpeg", "PNG", "bmp", "tif", "TIFF"])
def test_suffixes_are_read_in_any_case(tmp_path, suffix):
    found = split_pairs(write(tmp_path, images=[f"a.{suffix}"], masks=[f"a.{suffix}"]))
    assert sum(map(len, found.values())) == 1


def test_other_files_are_named_once_and_hidden_ones_ignored(tmp_path, caplog):
    folder = write(tmp_path, images=["a.jpg", "licence.txt", ".DS_Store", "._a.jpg"], masks=["a.png", "Thumbs.db"])
    (folder / "images" / "b.jpg").mkdir()
    with caplog.at_level(logging.INFO, logger=folder_layout.__name__):
        for _ in range(2):
            split_pairs(folder)
    assert [record.getMessage() for record in caplog.records] == [
        f"{folder / 'images'}: 1 files are not images and are ignored: licence.txt",
        f"{folder / 'masks'}: 1 files are not images and are ignored: Thumbs.db",
    ]


def test_an_image_without_a_mask_is_named(tmp_path):
    write(tmp_path, images=["a.jpg", "b.jpg", "c.jpg"], masks=["b.png"])
    message = (
        f"{tmp_path}/images/a.jpg must have a mask, got none in {tmp_path}/masks with its name, with or without "
        "_segmentation or _mask; 2 of 3 images have none."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        split_pairs(tmp_path)


def test_a_mask_without_an_image_is_named(tmp_path):
    write(tmp_path, images=["a.jpg"], masks=["a.png", "b_mask.png"])
    with pytest.raises(
        ValueError, match=r"masks/b_mask\.png must have an image, got none named b_mask, with or without"
    ):
        split_pairs(tmp_path)


@pytest.mark.parametrize(("images", "masks"), [(["a.jpg", "a.png"], ["a.png"]), (["a.jpg"], ["a.png", "a.bmp"])])
def test_two_files_of_one_stem_are_refused(tmp_path, images, masks):
    with pytest.raises(ValueError, match=r"a\.png must have a name of its own, got a\.(jpg|bmp) too\. Delete one"):
        split_pairs(write(tmp_path, images=images, masks=masks))


def test_an_empty_folder_is_named(tmp_path):
    write(tmp_path / "train")
    with pytest.raises(ValueError, match=r"train/images must hold at least one file of \.jpg, .* got an empty folder"):
        split_pairs(tmp_path)
    write(tmp_path / "train", images=["a.gif"])
    with pytest.raises(ValueError, match=r"train/images must hold at least one file of .* got files named a\.gif"):
        split_pairs(tmp_path)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"ImageFolder\.path must name an existing folder, got '.*/nothing'"):
        split_pairs(tmp_path / "nothing")
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").touch()
    with pytest.raises(FileNotFoundError, match=r"/masks must exist: it holds the masks of "):
        split_pairs(tmp_path)


@pytest.mark.parametrize(
    ("folders", "got"),
    [([], "nothing"), (["data"], "data"), (["images", "masks", "train"], "images, masks, train"), (["val"], "val")],
)
def test_another_layout_is_refused(tmp_path, folders, got):
    for name in folders:
        (tmp_path / name).mkdir()
    with pytest.raises(
        ValueError, match=rf"must hold images/ and masks/, or train/ and possibly val/ and test/, .* got {got}\."
    ):
        split_pairs(tmp_path)


@pytest.mark.parametrize("pattern", [r"(P\d+)_", r"(X?)"])
def test_a_key_without_a_group_is_named(tmp_path, pattern):
    with pytest.raises(
        ValueError,
        match=r"group_pattern must be found in every key, with its first group, got .* for 'ISIC_0000' \(.*jpg\)",
    ):
        split_pairs(pairs(tmp_path, STEMS), group_pattern=pattern)
