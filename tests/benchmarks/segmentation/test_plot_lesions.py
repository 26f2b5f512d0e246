"""Figures of the study of lesions as a table and a drawing."""

import json
from xml.etree import ElementTree

import pytest

from benchmarks.segmentation import plot_lesions
from benchmarks.segmentation.segmentation import _dice
from jaxkd.training.results.evaluation import Evaluation


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Two networks of the study, with figures made up."""
    rows = [
        {"figure": f"{name}: Dice{level}", "value": value, "interval": [value - 0.01, value + 0.01]}
        for name, base in (("unet", 0.90), ("student_60", 0.80))
        for level, value in (("", base), (", mild", base + 0.05), (", moderate", base), (", severe", base - 0.05))
    ]
    path = tmp_path_factory.mktemp("kept") / "segmentation.json"
    path.write_text(json.dumps({"rows": rows}))
    return path


def test_the_table_is_in_the_order_of_the_parameters(kept, capsys):
    plot_lesions.main([str(kept), "--table"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "| network | parameters | all | mild | moderate | severe |"
    assert lines[2].startswith("| student 60 | 29,005 | 0.800 (0.790 to 0.810) | 0.850 (0.840 to 0.860) |")
    assert lines[3].startswith("| unet | 1,064,513 | 0.900 (0.890 to 0.910) |")


def test_the_drawing_names_networks_and_levels(kept, tmp_path, capsys):
    plot_lesions.main([str(kept), str(tmp_path / "lesions.svg")])
    assert capsys.readouterr().out == f"{tmp_path / 'lesions.svg'}\n"
    texts = {text.strip() for text in ElementTree.fromstring((tmp_path / "lesions.svg").read_text()).itertext()}
    assert {"mild", "moderate", "severe", "unet  1,064,513", "student 60  29,005"} <= texts


def test_figures_of_another_benchmark_are_refused():
    with pytest.raises(ValueError, match="kept must hold Dice coefficients of the study of lesions, got none"):
        plot_lesions.figures({"rows": []})


def test_a_level_is_that_of_the_images_keys():
    evaluations = tuple(
        Evaluation(metrics={}, keys=("test-0-mild", "test-1-severe"), per_example={"dice": (0.9, low)})
        for low in (0.5, 0.7)
    )
    row = _dice("unet: Dice, severe", evaluations, "severe")
    assert row.value == pytest.approx(0.6)
    assert row.samples == (0.5, 0.7)
    assert row.interval == pytest.approx((0.5, 0.7))
    assert _dice("unet: Dice", evaluations).value == pytest.approx(0.75)
