"""The table of what it costs to store a teacher in fewer bits."""

import pytest

from jaxkd import quantize


def test_the_command_prints_a_line_for_each_way_to_store_a_model(tiny_folder, tiny_text, capsys):
    data = ["--data", tiny_text.source.test, "--limit", "6", "--rows", "2", "--length", "96"]
    quantize.main(["--model", str(tiny_folder), *data])
    header, *rows, note = capsys.readouterr().out.splitlines()
    assert header.split() == ["stored", "MB", "of", "which", "blocks", "KL(full", "||", "stored)", "cross", "entropy"]
    cells = [row.split() for row in rows]
    assert [row[0] for row in cells] == ["float32", "int8", "int4"]
    assert float(cells[0][3]) == 0
    assert 0 <= float(cells[1][3]) < float(cells[2][3])
    assert "tokens of the answers" in note


@pytest.mark.slow
def test_a_real_teacher_in_8_bits_is_nearly_itself(smollm2_folder, capsys):
    quantize.main(["--model", str(smollm2_folder), "--limit", "3", "--rows", "1", "--length", "256"])
    _, *rows, _ = capsys.readouterr().out.splitlines()
    full, int8, int4 = (
        dict(zip(("mb", "blocks", "kl", "nats"), map(float, row.split()[1:]), strict=True)) for row in rows
    )
    assert int8["blocks"] / full["blocks"] == pytest.approx(0.25, abs=0.01)
    assert int4["blocks"] / full["blocks"] == pytest.approx(0.5 / 4 + 1 / 32, abs=0.01)
    assert full["kl"] == 0
    assert int8["kl"] < 0.01
    assert 0.02 < int4["kl"] < 1
