"""Passing share over distance, as points, a table and a drawing."""

import json
from xml.etree import ElementTree

import numpy as np
import pytest

from benchmarks.studies import plot_frontier
from benchmarks.studies.free_places import free_places
from tests.benchmarks.made_up_study import DISTANCE, kept

NO_MARKS = np.empty((0, 2))


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("dpo_0.03", ("dpo", 0.03)),
        ("simpo_10.0", ("simpo", 10.0)),
        ("adaptive_80.0_on_policy", ("adaptive_on_policy", 80.0)),
        ("reverse_dpo", None),
        ("sft", None),
    ],
)
def test_a_label_says_method_and_parameter(row, expected):
    assert plot_frontier.method(row) == expected


def test_points_are_means_of_the_seeds_with_both_figures_in_order_of_the_parameter():
    found = plot_frontier.points(kept())
    assert [(point.method, point.parameter) for point in found] == [
        ("sft", 0.0),
        ("dpo", 0.1),
        ("dpo", 0.3),
        ("constant", 0.5),
        ("constant_on_policy", 0.5),
    ]
    assert found[0].mean == (0.0, pytest.approx(0.45))
    assert found[1].mean == (10.0, pytest.approx(0.65))
    # Of its two seeds one has no distance.
    assert (found[3].distances, found[3].passed) == ((8.0,), (0.7,))


def test_a_study_of_something_else_is_refused():
    other = kept()
    other["summary"]["other_metrics_by_seed"] = {DISTANCE: {"sft": {"0": 1.0}}}
    with pytest.raises(ValueError, match=r"kept must hold rows with 'generations/code/passed' .* got sft, dpo_0.3"):
        plot_frontier.points(other)


def test_the_table_has_every_row_and_dashes_for_what_was_not_measured(tmp_path, capsys):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(kept()))
    plot_frontier.main([str(path), "--table"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "|---|---|---|---|---|---|---|---|---|"
    assert "| `sft` | 45.0 % | 40.0, 50.0 | – | 41.0 | – | – | – | – |" in lines
    assert "| `dpo_0.1` | 65.0 % | 60.0, 70.0 | 10.00 | – | 50.0 % | – | 85.0 % | – |" in lines
    assert "| `reverse_dpo` | 10.0 % | 10.0 | 50.00 | – | – | – | – | – |" in lines
    assert "| `constant_0.5` | 75.0 % | 70.0, 80.0 | 8.00 | – | 100.0 % | 60.0 % | – | 50.0 % |" in lines
    assert list(tmp_path.iterdir()) == [path]


def test_the_drawing_names_methods_and_parameters(tmp_path, capsys):
    path, to = tmp_path / "mine.json", tmp_path / "mine.svg"
    path.write_text(json.dumps(kept()))
    plot_frontier.main([str(path), str(to)])
    root = ElementTree.fromstring(to.read_text())
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    texts = [text.strip() for text in root.itertext()]
    assert {"sft", "DPO: β", "0.1", "0.3", "0.5", "constant, on-policy: strength"} <= set(texts)
    assert "SimPO: β" not in texts
    assert "sft 45.0 % at 0 nats; dpo 0.1 65.0 % at 10 nats" in root.attrib["aria-label"]
    assert capsys.readouterr().out == f"{to}\n"


def test_one_row_alone_can_be_drawn():
    alone = kept()
    alone["summary"]["bits_per_byte_by_seed"] = {"sft": {"0": 1.0}}
    assert "sft" in plot_frontier.drawn(alone)


def test_labels_keep_off_each_other_and_off_the_dots():
    dots = np.array([[0.0, 0.0], [14.0, 0.0], [0.0, 14.0]])
    sizes = np.tile([20.0, 8.0], (3, 1))
    places = dots + free_places(dots, sizes, marks=NO_MARKS, gap=4.0)
    for number, place in enumerate(places):
        assert (np.abs(places - place) >= sizes - 1e-9).any(axis=1).sum() == 2
        assert (np.abs(dots - place) >= sizes[number] / 2 - 1e-9).any(axis=1).all()


def test_a_label_stands_at_the_right_where_nothing_is_near():
    dot, size = np.array([[0.0, 0.0]]), np.array([[20.0, 8.0]])
    assert free_places(dot, size, marks=NO_MARKS, gap=4.0).tolist() == [[14.0, 0.0]]
    # A line to the right turns it up.
    assert free_places(dot, size, marks=np.array([[10.0, 0.0]]), gap=4.0).tolist() == [[0.0, 8.0]]
