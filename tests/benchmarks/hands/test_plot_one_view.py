"""Figures of the study of hands as tables and two drawings."""

import json
from xml.etree import ElementTree

import pytest

from benchmarks.hands import plot_one_view

ZONES = ("within a third of the width from the centre", "beyond a third of the width")


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Two models of the study and a rule of fusion, with errors made up."""
    errors = {
        f"{name}: error {rest}": value
        for name, base in (("fused", 40.0), ("teacher", 50.0))
        for rest, value in (
            ("of the joints", base),
            *((zone, base + place) for place, zone in enumerate(ZONES)),
            ("from 0 to 0.1 widths", base - 1),
            ("from 0.3 to 0.4 widths", base + 2),
        )
    }
    errors["teacher, camera 1 alone: error of the joints"] = 48.0
    errors["teacher, agreeing pair: error of the joints"] = 45.0
    rows = [{"figure": figure, "value": value, "interval": [value - 1, value + 1]} for figure, value in errors.items()]
    rows.append({"figure": "parameters of the student", "value": 9.0, "interval": None})
    path = tmp_path_factory.mktemp("kept") / "hands.json"
    path.write_text(json.dumps({"rows": rows}))
    return path


def test_the_tables_have_rules_of_fusion_and_models_in_the_order_of_the_study(kept, capsys):
    plot_one_view.main(["table", str(kept)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[2:4] == ["| camera 1 alone | 48.0 (47.0 to 49.0) |", "| agreeing pair | 45.0 (44.0 to 46.0) |"]
    assert lines[7:] == [
        "| teacher | 50.0 (49.0 to 51.0) | 50.0 (49.0 to 51.0) | 51.0 (50.0 to 52.0) |",
        "| fused | 40.0 (39.0 to 41.0) | 40.0 (39.0 to 41.0) | 41.0 (40.0 to 42.0) |",
    ]


@pytest.mark.parametrize(
    ("what", "said"),
    [("models", "teacher 50.0; fused 40.0"), ("distances", "fused 39.0, 42.0; teacher 49.0, 52.0")],
)
def test_a_drawing_names_the_models_and_says_their_errors(kept, tmp_path, capsys, what, said):
    path = tmp_path / f"{what}.svg"
    plot_one_view.main([what, str(kept), str(path)])
    assert capsys.readouterr().out == f"{path}\n"
    assert {"teacher", "fused"} <= {text.strip() for text in ElementTree.fromstring(path.read_text()).itertext()}
    assert said in path.read_text()


def test_figures_of_another_benchmark_are_refused():
    with pytest.raises(ValueError, match="kept must hold errors of the study of hands, got none"):
        plot_one_view.by_model({"rows": []})
