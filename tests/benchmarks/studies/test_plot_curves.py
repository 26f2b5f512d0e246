"""Validations of a kept study as a drawing."""

import json
from xml.etree import ElementTree

import pytest

from benchmarks.studies import plot_curves


@pytest.fixture
def kept(tmp_path):
    points = {"steps": [2, 4], "values": [3.0, 2.5]}
    curves = {"bits_per_byte": {"sft": {"0": points, "1": points}, "kd": {"0": points}}}
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"curves": curves}))
    return path


def test_rows_are_named_in_a_file_of_its_own(kept, tmp_path, capsys):
    to = tmp_path / "mine.svg"
    plot_curves.main([str(kept), "--rows", "kd", "sft", "--to", str(to)])
    root = ElementTree.fromstring(to.read_text())
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert {"kd", "sft"} <= {text.strip() for text in root.itertext()}
    assert capsys.readouterr().out == f"{to}\n"


def test_a_row_that_was_not_validated_is_refused(kept):
    with pytest.raises(ValueError, match="rows must have 'bits_per_byte' on validation, got 'dpo'. Rows: sft, kd"):
        plot_curves.drawn(json.loads(kept.read_text()), "bits_per_byte", ["dpo"])
