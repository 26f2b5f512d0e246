"""Which file has which split, and which files belong to an image."""

import re

import pytest

from jaxkd.data.examples import stable_split
from jaxkd.data.images.detection.coco_layout import coco_files, coco_rows
from tests.data.images.detection.coco_data import CATEGORIES, annotation, entries, write_json

NOTHING_NAMED = {"train": None, "validation": None, "test": None}


def lists(folder, named=NOTHING_NAMED, **names):
    """Write the JSON file of each split, with the images of these names."""
    for split, files in names.items():
        objects = [annotation(1, 1, [1, 1, 2, 2])]
        write_json(folder / "annotations" / f"{split}.json", images=entries(files), annotations=objects)
    return coco_files(folder, named)


def touch(folder, *names):
    """Empty files: their contents are not looked at."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def keys(rows):
    return {split: [row.image.key for row in members] for split, members in rows.items()}


def test_each_split_has_its_file(tmp_path):
    files = lists(tmp_path, train=["b.png", "a.png"], validation=["c.png"], test=["d.png"])
    touch(tmp_path / "images", "a.png", "b.png", "c.png", "d.png", "not_listed.png")
    rows = coco_rows(files, [tmp_path / "images"])
    assert keys(rows) == {"train": ["a", "b"], "validation": ["c"], "test": ["d"]}
    row = rows["test"][0]
    assert (row.group, row.files) == ("d", (tmp_path / "images" / "d.png",))
    assert row.annotations == tmp_path / "annotations" / "test.json"


def test_files_may_have_other_names(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    write_json(tmp_path / "instances_train.json", images=entries(["a.png"]))
    write_json(tmp_path / "elsewhere" / "val.json", images=entries(["b.png"]))
    named = {"train": "instances_train.json", "validation": None, "test": str(tmp_path / "elsewhere" / "val.json")}
    assert [file.path.name for file in coco_files(tmp_path, named).values()] == ["instances_train.json", "val.json"]


def test_splits_without_a_file_are_cut_out_of_training_by_group(tmp_path):
    names = [f"scene{number // 2:02d}_{number}.png" for number in range(80)]
    touch(tmp_path / "images", *names, "t.png")
    files = lists(tmp_path, train=names)
    whole = coco_rows(files, [tmp_path / "images"], group_pattern=r"(scene\d+)_")
    assert all(whole.values())
    for split, rows in whole.items():
        assert all(stable_split(row.group) == split for row in rows)
    assert sum(map(len, whole.values())) == 80
    tested = coco_rows(
        lists(tmp_path, train=names, test=["t.png"]), [tmp_path / "images"], group_pattern=r"(scene\d+|t)"
    )
    assert keys(tested)["test"] == ["t"]
    assert keys(tested)["validation"] == keys(whole)["validation"]
    assert len(tested["train"]) == len(whole["train"]) + len(whole["test"])


def test_pairs_have_one_name_and_possibly_other_endings(tmp_path):
    files = lists(tmp_path, train=["night/a.jpg", "b.png"], validation=["c.png"], test=["d.png"])
    touch(tmp_path / "visible", "night/a.jpg", "b.png", "c.png", "d.png")
    touch(tmp_path / "infrared", "night/a.TIFF", "b.png", "b.jpg", "c.png", "d.bmp", ".c.jpg", "d.txt")
    rows = coco_rows(files, [tmp_path / "visible", tmp_path / "infrared"])
    found = {
        row.image.key: tuple(str(path.relative_to(tmp_path)) for path in row.files)
        for members in rows.values()
        for row in members
    }
    assert found == {
        "night/a": ("visible/night/a.jpg", "infrared/night/a.TIFF"),
        "b": ("visible/b.png", "infrared/b.png"),  # the file of the listed name comes before another ending
        "c": ("visible/c.png", "infrared/c.png"),
        "d": ("visible/d.png", "infrared/d.bmp"),
    }


def test_two_endings_of_which_none_is_listed_are_refused(tmp_path):
    files = lists(tmp_path, train=["a.tif"])
    touch(tmp_path / "images", "a.png", "a.jpg")
    with pytest.raises(
        ValueError, match=r"images/a\.tif must be one file, got a\.jpg and a\.png, and .*train\.json names"
    ):
        coco_rows(files, [tmp_path / "images"])


@pytest.mark.parametrize(("there", "other"), [("visible", "infrared"), ("infrared", "visible")])
def test_an_image_without_its_pair_is_named(tmp_path, there, other):
    files = lists(tmp_path, train=["a.png", "b.png", "c.png"])
    touch(tmp_path / there, "a.png", "b.png", "c.png")
    touch(tmp_path / other, "b.png")
    message = (
        f"{tmp_path}/{there}/a.png must have its pair, got no image named a in {tmp_path}/{other}; 2 of 3 images of "
        f"{tmp_path}/annotations/train.json have none."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        coco_rows(files, [tmp_path / "visible", tmp_path / "infrared"])
    assert len(coco_rows(files, [tmp_path / there])["train"]) > 0


@pytest.mark.parametrize("folders", [["images"], ["images", "infrared"]])
def test_a_listed_image_that_is_missing_is_named_with_its_annotations(tmp_path, folders):
    files = lists(tmp_path, train=["a.png", "b.png", "c.png"])
    for folder in folders:
        touch(tmp_path / folder, "b.png")
    message = (
        f"{tmp_path}/images/a.png must exist, with this or another ending: {tmp_path}/annotations/train.json lists it, "
        "with 1 annotations; 2 of 3 images are missing."
    )
    with pytest.raises(FileNotFoundError, match=re.escape(message)):
        coco_rows(files, [tmp_path / name for name in folders])


def test_categories_that_only_one_split_has_are_refused(tmp_path):
    lists(tmp_path, train=["a.png"])
    write_json(
        tmp_path / "annotations" / "test.json",
        images=entries(["b.png"]),
        categories=[*CATEGORIES, {"id": 9, "name": "bus"}],
    )
    message = (
        r"annotations/test\.json must have the categories of .*/train\.json, got others for the test split: "
        r"9 \(bus\) is in one of the two alone"
    )
    with pytest.raises(ValueError, match=message):
        coco_files(tmp_path, NOTHING_NAMED)


def test_missing_folders_and_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"CocoFolder\.path must name an existing folder, got '.*/nothing'"):
        coco_files(tmp_path / "nothing", NOTHING_NAMED)
    with pytest.raises(FileNotFoundError, match=r"train\.json must exist: it has the boxes of the train split\. If it"):
        coco_files(tmp_path, NOTHING_NAMED)
    with pytest.raises(FileNotFoundError, match=r"/mine\.json must exist: .* give it as CocoFolder\.test"):
        lists(tmp_path, {**NOTHING_NAMED, "test": "mine.json"}, train=["a.png"])
    with pytest.raises(FileNotFoundError, match=r"/visible must exist: it holds images of .*train\.json"):
        coco_rows(lists(tmp_path, train=["a.png"]), [tmp_path / "visible"])


def test_a_key_without_a_group_is_named(tmp_path):
    touch(tmp_path / "images", "a.png")
    with pytest.raises(ValueError, match=r"group_pattern must be found in every key, .* for 'a' \(.*/images/a\.png\)"):
        coco_rows(lists(tmp_path, train=["a.png"]), [tmp_path / "images"], group_pattern="(scene)")
