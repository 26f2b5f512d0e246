"""The validation at which a run has most of what DPO taught, and what it took until then."""

import json

import pytest

from benchmarks.dynamics import convergence
from tests.benchmarks.made_up_study import kept


def test_the_target_is_most_of_what_dpo_gained():
    found = convergence.targets(kept())
    assert found["0"] == pytest.approx(0.4 + 0.9 * 0.2)
    # At this seed DPO ends where it began.
    assert found["1"] is None


def test_without_a_seed_of_both_there_is_no_target():
    other = kept()
    del other["curves"]["code/passed"]["dpo_0_1"]
    with pytest.raises(ValueError, match=r"validations of sft and dpo_0.1 at one seed, got seeds 0, 1 and none"):
        convergence.targets(other)


def test_the_first_validation_at_the_target_counts():
    # 0.57999 is 0.58, kept to five decimals; the run falls below it again.
    found = convergence.run(kept(), "constant_0.5", "0", 0.58)
    # Eight median steps; sixteen of each teacher.
    assert found == convergence.Run(reached=True, step=8, seconds=12.0, with_teachers=12.0 + 16 * 2.0 + 16 * 3.0)


def test_a_run_that_did_not_get_there_is_censored_at_its_last_validation():
    assert convergence.run(kept(), "dpo_0.3", "0", 0.58) == convergence.Run(
        reached=False, step=16, seconds=32.0, with_teachers=None
    )


def test_what_was_not_kept_is_not_made_up():
    found = convergence.run(kept(), "constant_0.5_on_policy", "0", 0.58)
    assert found == convergence.Run(reached=True, step=4, seconds=None, with_teachers=None)
    assert convergence.run(kept(), "constant_0.5", "1", 0.58) is None
    other = kept()
    del other["training"]["seconds"]["reverse_dpo"]
    found = convergence.run(other, "constant_0.5", "0", 0.58)
    assert found is not None
    assert (found.seconds, found.with_teachers) == (12.0, None)


def test_prints_targets_and_the_rows_that_were_validated(tmp_path, capsys):
    path = tmp_path / "mine.json"
    other = kept()
    other["summary"]["bits_per_byte_by_seed"]["simpo_1.0"] = {"0": 1.0}
    path.write_text(json.dumps(other))
    convergence.main([str(path)])
    assert capsys.readouterr().out.splitlines() == [
        "| seed | `sft` | `dpo_0.1` | target |",
        "|---|---|---|---|",
        "| 0 | 0.400 | 0.600 | 0.580 |",
        "| 1 | 0.500 | 0.500 | – |",
        "",
        "| row | steps, by seed | seconds | with both DPO runs |",
        "|---|---|---|---|",
        "| `dpo_0.3` | > 16, – | > 32, – | – |",
        "| `dpo_0.1` | 12, – | 24, – | – |",
        "| `constant_0.5` | 8, – | 12, – | 92, – |",
        "| `constant_0.5_on_policy` | 4, – | – | – |",
    ]
