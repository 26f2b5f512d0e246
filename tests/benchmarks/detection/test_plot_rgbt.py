"""Figures of the study of drawn pairs as a table and two drawings."""

import json
from xml.etree import ElementTree

import pytest

from benchmarks.detection import plot_rgbt


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Two models of the study, with figures made up."""
    rows = [
        {"figure": f"{name}: AP50{rest}", "value": value, "interval": [value - 0.01, value + 0.01]}
        for name, base in (("plain_core", 0.60), ("teacher", 0.65))
        for rest, value in (
            ("", base),
            *((f", {one}", base + 0.1 * place) for place, one in enumerate(("day", "night", "hot", "weak"))),
            *((f", visible image moved by {offset} px", base - offset / 100) for offset in (0, 4, 11, 20)),
        )
    ]
    rows.append({"figure": "study: parameters of one branch", "value": 9.0, "interval": None})
    path = tmp_path_factory.mktemp("kept") / "detection.json"
    path.write_text(json.dumps({"rows": rows}))
    return path


def texts(path):
    return {text.strip() for text in ElementTree.fromstring(path.read_text()).itertext()}


def test_the_table_is_in_the_order_of_the_study(kept, capsys):
    plot_rgbt.main(["table", str(kept)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "| model | all | day | night | hot | weak |"
    assert lines[2].startswith("| teacher | 0.650 (0.640 to 0.660) | 0.650 (0.640 to 0.660) | 0.750 (0.740 to 0.760) |")
    assert lines[3].startswith("| plain core | 0.600 ")
    assert len(lines) == 4


def test_the_drawing_of_models_names_models_and_conditions(kept, tmp_path, capsys):
    plot_rgbt.main(["models", str(kept), str(tmp_path / "models.svg")])
    assert capsys.readouterr().out == f"{tmp_path / 'models.svg'}\n"
    assert {"day", "night", "hot", "weak", "all", "teacher", "plain core"} <= texts(tmp_path / "models.svg")


def test_the_drawing_of_offsets_has_a_curve_a_model(kept, tmp_path):
    found = plot_rgbt.by_offset(json.loads(kept.read_text()))
    assert found["teacher"][11.0] == pytest.approx((0.54, 0.53, 0.55))
    plot_rgbt.main(["offsets", str(kept), str(tmp_path / "offsets.svg")])
    assert {"teacher", "plain core", "0", "4", "11", "20"} <= texts(tmp_path / "offsets.svg")
    assert "teacher 0.650, 0.610, 0.540, 0.450" in (tmp_path / "offsets.svg").read_text()


def test_figures_of_another_benchmark_are_refused():
    with pytest.raises(ValueError, match="kept must hold average precisions of the study of drawn pairs, got none"):
        plot_rgbt.by_condition({"rows": []})
