"""The study of critics: how often a small model's criticism and labels say the truth, and what is learnt from them.

The runs are kept in runs/constitutional_ai, so that the same command goes on where it was stopped.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from benchmarks.constitution import asked
from benchmarks.constitution.generated import by_prompt, with_finished_seeds
from benchmarks.row import Bar, Row
from benchmarks.studies.finished_study import Scored, finished, scored
from configs import constitutional_ai
from jaxkd.constitution import CodeJudge, last_answer_flaws
from jaxkd.constitution.code_critic import CRITIQUES
from jaxkd.data import PreferenceJsonl
from jaxkd.data.examples import Messages
from jaxkd.data.preferences.code_flaws import Flaw
from jaxkd.evals.bootstrap import paired_bootstrap
from jaxkd.evals.judges.pairwise import Question
from jaxkd.evals.language.generation_metric import GENERATIONS
from jaxkd.evals.language.samples import readable
from jaxkd.runtime.storage.json_lines import whole_rows
from jaxkd.study.clean_stage import REPORT
from jaxkd.study.generate_stage import ANSWERS
from jaxkd.study.study import stage_folder

NAMES = ("self", "program")
"""Critics of the study."""

_DENIES = re.compile(r"\b(?:no|not\s+(?:a|any)|without|does\s*n[o']t|is\s*n[o']t|are\s*n[o']t|none)\b", re.IGNORECASE)
"""Words by which a critique says that there is no flaw."""


def rows(quick: bool) -> Iterator[Row]:
    """Yield the rows; quick: the study in miniature, without bars on what it finds."""
    study = constitutional_ai.get_config("smoke") if quick else with_finished_seeds(constitutional_ai.get_config())
    with finished(study, kept=not quick) as workdir:
        folders = {stage.name: stage_folder(workdir, stage, study.seeds[0]) for stage in study.stages}
        yield from asked.rows(folders)
        yield from critique_rows(folders)
        yield from _revisions(folders)
        yield from _labels(folders)
        yield from flaw_rows(scored(study, workdir), judged=not quick)
        yield Row(figure="seeds of the study of critics", value=len(study.seeds), unit="")


def critique_rows(folders: Mapping[str, Path]) -> Iterator[Row]:
    """Yield how often a critique says of the kind of flaw that it was asked about what is true."""
    for name in NAMES:
        answers = list(whole_rows(folders[f"critique_{name}"] / ANSWERS))
        truth = [row["turn"] in last_answer_flaws(_turns(row)[:-1]) for row in answers]
        said = [_names(row["turn"], row["messages"][-1]["content"], by=name) for row in answers]
        right = [one == other for one, other in zip(truth, said, strict=True)]
        yield Row.share(f"critiques of {name}: right about the flaw that they are asked about", right)
        for present, words in ((True, "with that flaw, it is named"), (False, "without it, none is named")):
            chosen = [one for one, flawed in zip(right, truth, strict=True) if flawed == present]
            if chosen:
                yield Row.share(f"critiques of {name}: of functions {words}", chosen)


def _revisions(folders: Mapping[str, Path]) -> Iterator[Row]:
    """Yield what the revisions of either critic make of the same answers."""
    yield Row.share("initial answers with a flaw", list(_flawed(folders["initial"]).values()))
    for name in NAMES:
        revised, before = _flawed(folders[f"revision_{name}"]), _flawed(folders["initial"])
        yield Row.share(f"revisions after critiques of {name} with a flaw", list(revised.values()))
        yield _difference(
            f"revisions after critiques of {name} - initial answers: share with a flaw",
            np.array([[float(revised[key]) for key in revised]]),
            np.array([[float(before[key]) for key in revised]]),
        )
        report = json.loads((folders[f"clean_{name}"] / REPORT).read_text(encoding="utf-8"))
        yield Row(figure=f"hygiene of {name}: rows", value=report["rows"], unit="")
        for reason, count in report["reasons"].items():
            yield Row(figure=f"hygiene of {name}: rows with the reason {reason}", value=count, unit="")
        yield Row(figure=f"hygiene of {name}: rows that are kept", value=report["kept"], unit="")


def _labels(folders: Mapping[str, Path]) -> Iterator[Row]:
    """Yield how often the better draw by a label has fewer flaws, where their numbers differ."""
    for name in NAMES:
        pairs = PreferenceJsonl(train=str(folders[f"labels_{name}"] / "train.jsonl")).pairs("train")
        questions = [
            Question(prompt=readable(pair.answered(pair.chosen)), first=pair.chosen, second=pair.rejected)
            for pair in pairs
        ]
        verdicts = [verdict for verdict in CodeJudge()(questions) if verdict != "tie"]
        yield Row(figure=f"labels of {name}: pairs", value=len(pairs), unit="")
        if verdicts:
            figure = f"labels of {name}: the chosen draw has fewer flaws, where their numbers differ"
            yield Row.share(figure, [verdict == "first" for verdict in verdicts])


def flaw_rows(found: Scored, *, judged: bool) -> Iterator[Row]:
    """Yield the share of drawn answers with a flaw, and its difference from the start."""
    shares = {
        name: 1 - by_prompt(each[GENERATIONS], "code/passed") for name, each in found.items() if GENERATIONS in each
    }
    for name, share in shares.items():
        yield Row.median(f"{name}: drawn answers with a flaw", [float(one.mean()) for one in share], "")
    for name in list(shares)[1:]:
        difference = _difference(f"{name} - start: drawn answers with a flaw", shares[name], shares["start"])
        yield difference
        if name == "dpo_program" and difference.interval is not None:
            yield Row(
                figure=f"{difference.figure}, upper end of the interval",
                value=difference.interval[1],
                unit="",
                bar=Bar(relation="<", limit=0) if judged else None,
            )
    # What criticism adds to what hygiene leaves of the answers as they were.
    control = "sft_unrevised"
    if control in shares:
        for name in (f"sft_{critic}" for critic in NAMES):
            yield _difference(f"{name} - {control}: drawn answers with a flaw", shares[name], shares[control])


def _difference(figure: str, first: Float[np.ndarray, "s n"], second: Float[np.ndarray, "s n"]) -> Row:
    interval = paired_bootstrap(first, second, np.ones(first.shape[1]))
    return Row(figure=figure, value=interval.estimate, unit="", interval=(interval.low, interval.high))


def _flawed(folder: Path) -> dict[str, bool]:
    """Return whether the last answer of each conversation of a `Generate` stage has a flaw, by key."""
    return {row["key"]: bool(last_answer_flaws(_turns(row))) for row in whole_rows(folder / ANSWERS)}


def _turns(row: Mapping[str, Any]) -> Messages:
    return tuple((message["role"], message["content"]) for message in row["messages"])


def _names(kind: Flaw, critique: str, *, by: str) -> bool:
    """Whether a critique names a kind of flaw: the program in its sentence, a model by not denying what it is asked."""
    return CRITIQUES[kind] in critique if by == "program" else not _DENIES.search(critique)
