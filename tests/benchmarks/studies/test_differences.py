"""How far two rows differ, answer by answer."""

import json

import pytest

from benchmarks.studies import differences
from tests.benchmarks.made_up_study import PASSED, kept


def test_the_estimate_is_the_mean_over_the_seeds_of_both():
    interval, by_seed = differences.difference(kept(), PASSED, "constant_0.5", "dpo_0.1")
    assert by_seed == {"0": 0.25, "1": 0.5}
    assert interval.estimate == pytest.approx(0.375)
    assert interval.low < interval.estimate < interval.high
    back, _ = differences.difference(kept(), PASSED, "dpo_0.1", "constant_0.5")
    assert (back.low, back.high) == pytest.approx((-interval.high, -interval.low))


def test_answers_are_drawn_in_pairs():
    other = kept()
    columns = other["columns"][PASSED]
    columns["dpo_0_1"] = columns["constant_0_5"]
    interval, _ = differences.difference(other, PASSED, "constant_0.5", "dpo_0.1")
    assert (interval.low, interval.high) == (0.0, 0.0)


def test_draws_of_a_prompt_are_resampled_together():
    study, draws = kept(), 3
    for column in study["columns"][PASSED].values():
        for seed, values in column.items():
            column[seed] = values * draws
    expected = differences.difference(kept(), PASSED, "constant_0.5", "dpo_0.1")
    assert differences.difference(study, PASSED, "constant_0.5", "dpo_0.1", draws=draws) == expected
    narrower, _ = differences.difference(study, PASSED, "constant_0.5", "dpo_0.1")
    assert narrower.high - narrower.low < expected[0].high - expected[0].low
    with pytest.raises(ValueError, match=r"draws must divide the \d+ answers of a row, got 7"):
        differences.difference(study, PASSED, "constant_0.5", "dpo_0.1", draws=7)


def test_several_rows_stand_for_their_mean():
    _, by_seed = differences.difference(kept(), PASSED, "constant_0.5,dpo_0.1", "dpo_0.1")
    assert by_seed == {"0": 0.125, "1": 0.25}
    table = differences.table(kept(), PASSED, [("constant_0.5,dpo_0.1", "dpo_0.1")])
    assert "| `constant_0.5`, `dpo_0.1` − `dpo_0.1` | +0.188 |" in table


def test_rows_without_a_seed_in_common_are_refused():
    with pytest.raises(ValueError, match=rf"{PASSED}' at one seed, got seeds 0, 1 and 3. Figures: {PASSED}, "):
        differences.difference(kept(), PASSED, "constant_0.5", "sft")
    with pytest.raises(ValueError, match="simpo_1.0 must have .* got seeds 0, 1 and none"):
        differences.difference(kept(), PASSED, "constant_0.5", "simpo_1.0")


def test_prints_a_row_a_pair(tmp_path, capsys):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(kept()))
    differences.main([str(path), PASSED, "--pair", "constant_0.5", "dpo_0.1", "--pair", "dpo_0.1", "dpo_0.1"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"| difference in `{PASSED}` | estimate | interval | by seed |"
    assert lines[2].startswith("| `constant_0.5` − `dpo_0.1` | +0.375 | ")
    assert lines[2].endswith(" | +0.250, +0.500 |")
    assert lines[3] == "| `dpo_0.1` − `dpo_0.1` | +0.000 | +0.000 to +0.000 | +0.000, +0.000, +0.000 |"
