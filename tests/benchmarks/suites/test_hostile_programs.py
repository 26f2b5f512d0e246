import pytest

from benchmarks.suites import hostile_programs
from benchmarks.suites.attacks import Attack
from jaxkd.runtime.sandbox import Limits


def test_what_a_program_leaves_is_seen(monkeypatch):
    """The witness folder is harmed by the test in the program's place."""
    run = hostile_programs.run

    def harms(program, *, limits=Limits()):
        outcome = run("pass", limits=limits)
        if "HARM" in program:
            with open(program.split()[-1] + "/new", "w") as file:
                file.write("x")
        return outcome

    monkeypatch.setattr(hostile_programs, "run", harms)
    attacked = hostile_programs.attack(Attack(program="# HARM OUTSIDE", verdict="passed"))
    assert (attacked.processes, attacked.files, attacked.descriptors, attacked.honest) == (0, 1, 0, True)


def test_rows_of_attacks_are_judged(monkeypatch):
    made = {"good": Attack(program="pass", verdict="passed"), "bad": Attack(program="1 / 0", verdict="passed")}
    rows = {row.figure: row for row in hostile_programs.attack_rows(made)}
    assert rows["bad: failed (ZeroDivisionError)"].holds
    assert rows["hostile programs with the right verdict"].value == 0.5
    assert not rows["hostile programs with the right verdict"].holds
    assert rows["honest programs after them that passed"].holds
    assert all(rows[f"{what} left by hostile programs"].holds for what in ("processes", "files", "descriptors"))


@pytest.mark.slow
def test_human_eval_is_told_from_empty_bodies():
    rows = list(hostile_programs.human_eval_rows(step=16))
    assert [row.holds for row in rows] == [True, True, None]
