"""The page on detection: its study is one of a teacher and two students on a folder of pairs."""

import json

import numpy as np
import pytest
from PIL import Image

from jaxkd.recipes.core_kd import CoreKD
from jaxkd.recipes.detection import Detection
from tests.docs.pages import python_blocks


@pytest.fixture
def folder(tmp_path):
    """Pairs of two images a split, with a box each."""
    for modality in ("annotations", "visible", "infrared"):
        (tmp_path / "FOLDER" / modality).mkdir(parents=True)
    for split in ("train", "validation", "test"):
        images, annotations = [], []
        for number in range(2):
            name = f"{split}{number}.png"
            Image.fromarray(np.full((20, 30, 3), 90, np.uint8)).save(tmp_path / "FOLDER/visible" / name)
            Image.fromarray(np.full((20, 30), 70 + number, np.uint8)).save(tmp_path / "FOLDER/infrared" / name)
            images.append({"id": number, "file_name": name, "width": 30, "height": 20})
            box = {"image_id": number, "category_id": 1 + number, "bbox": [2, 3, 10, 9], "area": 90, "iscrowd": 0}
            annotations.append({"id": number, **box})
        categories = [{"id": 1, "name": "person"}, {"id": 2, "name": "car"}]
        rows = {"images": images, "annotations": annotations, "categories": categories}
        (tmp_path / f"FOLDER/annotations/{split}.json").write_text(json.dumps(rows))
    return tmp_path


def test_the_study_reads_the_folder(folder, monkeypatch):
    (code,) = python_blocks("docs/detection.md")
    monkeypatch.chdir(folder)
    names = {"__name__": "own_study"}
    exec(code, names)
    teacher, alone, taught = names["get_config"]().stages
    assert isinstance(alone.recipe, Detection)
    assert isinstance(taught.recipe, CoreKD)
    assert taught.recipe.detector == teacher.recipe.network
    assert taught.recipe.network.classes == 2
    taught.recipe.data.validate()
    assert taught.recipe.data.examples("train")[0].image.shape == (512, 640, 4)
