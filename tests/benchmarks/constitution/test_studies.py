"""Rows of both studies: answers to one prompt are drawn together, and findings are those of the stored texts."""

import dataclasses
import json

import numpy as np

from benchmarks.constitution import collapse, critics, generated
from benchmarks.constitution.generated import by_prompt
from configs import collapse as config
from jaxkd.constitution import NO_FLAW
from jaxkd.constitution.code_critic import CRITIQUES
from jaxkd.data.text.hygiene.contaminated import CLOSER
from jaxkd.data.text.standard_library import INSTRUCTION
from jaxkd.study.study import stage_folder
from jaxkd.training.results.evaluation import Evaluation, Sample
from jaxkd.training.stage_folder import write_evaluations

PROMPT = f'{INSTRUCTION}def one():\n    """Return 1."""'
GOOD, BAD = "    return 1", "    return 1\n    return 2"


def evaluation(texts, bits=1.0):
    samples = tuple(Sample(prompt="Which?", reference="", text=text) for text in texts)
    keys = tuple(str(number) for number in range(len(texts)))
    ones = (1.0,) * len(texts)
    generations = Evaluation(metrics={}, keys=keys, per_example={"ended": ones, "code/passed": ones}, samples=samples)
    return {"generations": (generations,), "bits_per_byte": (Evaluation(metrics={"bits_per_byte": bits}),)}


def bodies(end=""):
    return [f"Number {number} is the answer to question {number}.{end}" for number in range(20)]


def test_seeds_are_those_that_are_finished_or_else_the_first(tmp_path, monkeypatch):
    monkeypatch.setattr(generated, "ROOT", tmp_path)
    study = config.get_config()
    assert generated.with_finished_seeds(study).seeds == (0,)
    trained = [stage for stage in study.stages if getattr(stage, "evaluators", ())]
    for stage in trained:
        assert generated.with_finished_seeds(study).seeds == (0,), "one stage is missing"
        folder = stage_folder(tmp_path / "runs" / study.name, stage, 1)
        folder.mkdir(parents=True)
        write_evaluations(folder, {"bits_per_byte": Evaluation(metrics={"bits_per_byte": 1.0})})
    assert generated.with_finished_seeds(study).seeds == (1,)


def test_answers_to_one_prompt_are_one_value():
    found = Evaluation(metrics={}, keys=("a", "b", "a", "b"), per_example={"passed": (1.0, 0.0, 0.0, 0.0)})
    np.testing.assert_array_equal(by_prompt([found], "passed"), [[0.5, 0.0]])


def test_collapse_is_found_and_its_cure_judged():
    looping = evaluation(bodies(f" {' '.join(3 * [CLOSER])}"), bits=1.1)
    scored = {name: evaluation(bodies()) for name in ("sft_clean", "sft_filtered", "dpo_clean", "dpo_filtered")}
    scored |= {"sft_contaminated": looping, "dpo_contaminated": looping}
    rows = {row.figure: row for row in collapse.health_rows(scored, judged=True)}
    for sign in ("a shared end", "loops"):
        row = rows[f"dpo_contaminated: share of the seeds at which findings report {sign}"]
        assert (row.value, row.holds) == (1.0, True)
        assert rows[f"sft_contaminated: share of the seeds at which findings report {sign}"].bar is None
    assert rows["dpo_filtered: most findings at a seed"].holds is True
    bits = {row.figure: row for row in collapse.bits_rows(scored, judged=True)}
    furthest = "greatest relative distance of bits per byte from dpo_clean, over the seeds"
    assert bits[f"dpo_filtered: {furthest}"].holds is True
    assert round(bits[f"dpo_contaminated: {furthest}"].value, 6) == 0.1
    worse = scored | {"dpo_filtered": looping}
    assert [row.holds for row in collapse.health_rows(worse, judged=True)].count(False) == 1
    assert [row.holds for row in collapse.bits_rows(worse, judged=True)].count(False) == 1


def write(folder, name, *rows):
    (folder / name).mkdir(exist_ok=True)
    (folder / name / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def row(key, *texts, turn=None):
    roles = ("user", "assistant") * len(texts)
    messages = [{"role": role, "content": text} for role, text in zip(roles, (PROMPT, *texts), strict=False)]
    return {"key": key, "turn": turn, "messages": messages}


def test_critiques_are_held_against_what_the_program_finds(tmp_path):
    asked = "Is there a statement that never runs?"
    denied = "It is fine, without a flaw."
    # The program names what it finds, whatever it is asked about.
    never, none = CRITIQUES["unreachable"], CRITIQUES["no_return"]
    for name, said in (("self", (denied,) * 3), ("program", (NO_FLAW, never, none))):
        bodies_asked = ((GOOD, "unreachable"), (BAD, "unreachable"), ("    pass", "no_return"))
        rows = [
            row(str(number), body, asked, critique, turn=kind)
            for number, ((body, kind), critique) in enumerate(zip(bodies_asked, said, strict=True))
        ]
        write(tmp_path, f"critique_{name}", *rows)
    folders = {path.name: path for path in tmp_path.iterdir()}
    found = {one.figure: one.value for one in critics.critique_rows(folders)}
    assert found["critiques of self: right about the flaw that they are asked about"] == 1 / 3
    assert found["critiques of self: of functions with that flaw, it is named"] == 0
    assert found["critiques of self: of functions without it, none is named"] == 1
    assert found["critiques of program: right about the flaw that they are asked about"] == 1


def test_the_bar_is_on_the_upper_end_of_the_paired_difference():
    def passed(*values):
        keys = tuple(str(number) for number in range(len(values)))
        return {"generations": (Evaluation(metrics={}, keys=keys, per_example={"code/passed": values}),)}

    scored = {"start": passed(*[0.0] * 12), "dpo_program": passed(*[1.0] * 9, *[0.0] * 3)}
    *_, difference, upper = critics.flaw_rows(scored, judged=True)
    assert (difference.value, upper.value, upper.holds) == (-0.75, difference.interval[1], True)
    *_, upper = critics.flaw_rows(dict(scored) | {"dpo_program": passed(*[0.0] * 12)}, judged=True)
    assert upper.holds is False
    assert dataclasses.replace(upper, bar=None).holds is None
