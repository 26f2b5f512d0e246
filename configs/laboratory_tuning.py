"""The laboratory's trials, which choose the hyper-parameters of each method before anything is reported.

Question  Which learning rate, number of steps, weight of the teacher and rate of the projectors suit a method?
Task      The body of a Python function of the standard library, of at most 400 characters, from its signature and
          docstring.
Teacher   SmolLM2-135M-Instruct with the tokens that the text uses, run once over the training set.
Students  The most important parts of four of its layers, 192 channels wide: with the teacher's tokens for `sft`, `kd`,
          `dskd` and `dskdv2`, with 4,096 byte-level tokens for the others.
Rows      Each method once for each trial of `benchmarks/laboratory/trials.py`; the number is the trial's.
Equal     Trials, batches, optimizer.  A row ends where four validations in a row, one in 50 steps, bring none that is
          better; its best step counts.
Measure   Bits per byte of the answers of the validation split, at a seed that no reported row has.
Rule      The lowest one chooses a method's trial, which `CHOSEN` in the same file records.
Result    docs/laboratory.md.

    python -m benchmarks.laboratory.models
    python -m jaxkd.train --config configs/laboratory_tuning.py
"""

from typing import Literal

from benchmarks.laboratory.rows import ONE_VOCABULARY, TWO_VOCABULARIES, Laboratory
from benchmarks.laboratory.trials import TRIALS, TUNING_SEED
from jaxkd.study import Study
from jaxkd.training import Train


def get_config(size: Literal["full", "smoke"] = "full") -> Study:
    """Return the trials, whole or in miniature."""
    one = Laboratory(full=size == "full")
    two = Laboratory(full=size == "full", student="byte_level")

    def trials(laboratory: Laboratory, method: str) -> tuple[Train, ...]:
        return tuple(
            laboratory.row(f"{method}_{number}", laboratory.recipe(method, trial), trial)
            for number, trial in enumerate(TRIALS)
        )

    return Study(
        name="laboratory_tuning",
        title="Trials of each method",
        description="Four trials of each method, measured on the validation split alone.",
        stages=(
            one.teacher_stages()[0],
            *(row for method in ("sft", *ONE_VOCABULARY) for row in trials(one, method)),
            *(row for method in TWO_VOCABULARIES for row in trials(two, method)),
        ),
        seeds=(TUNING_SEED,),
    )
