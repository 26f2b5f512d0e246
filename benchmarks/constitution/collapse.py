"""The study of a collapse and its cure: what hygiene keeps, and what runs with and without it write.

The runs are kept in runs/collapse, so that the same command goes on where it was stopped.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from benchmarks.constitution.generated import by_prompt, generated, with_finished_seeds
from benchmarks.row import Bar, Row
from benchmarks.studies.finished_study import Scored, finished, scored
from configs import collapse
from jaxkd.evals.language.generation_metric import GENERATIONS
from jaxkd.runtime.storage.json_lines import whole_rows
from jaxkd.study.clean_stage import DROPPED, REPORT
from jaxkd.study.study import stage_folder

KEPT, MENDED = 0.95, 0.99
"""Bars: share of clean rows that hygiene keeps, and of contaminated ones that it drops or repairs."""
BITS = 0.02
"""Bar: relative distance of the bits per byte after hygiene from those of the run that was never contaminated."""

_SIGNS = {"have one end": "a shared end", "end in a loop": "loops"}
"""Words of a finding, and what it reports."""


def rows(quick: bool) -> Iterator[Row]:
    """Yield the rows; quick: the study in miniature, without bars on what it finds."""
    study = collapse.get_config("smoke") if quick else with_finished_seeds(collapse.get_config())
    with finished(study, kept=not quick) as workdir:
        yield from _hygiene(stage_folder(workdir, study.stages[0], study.seeds[0]))
        found = scored(study, workdir)
        yield from health_rows(found, judged=not quick)
        yield from bits_rows(found, judged=not quick)
        yield Row(figure="seeds of the study of a collapse", value=len(study.seeds), unit="")


def _hygiene(folder: Path) -> Iterator[Row]:
    """Yield the shares of the rows that hygiene keeps and mends, and its counts by reason."""
    clean = {example.key: example.response for example in collapse.REVISIONS.examples("train")}
    kept = {row["key"]: row["messages"][-1]["content"] for row in whole_rows(folder / "train.jsonl")}
    contaminated = [key for key in clean if collapse.CONTAMINATED.repetitions(key)]
    untouched = [kept.get(key) == response for key, response in clean.items() if key not in set(contaminated)]
    mended = [key not in kept or kept[key] == clean[key] for key in contaminated]
    yield Row.share("hygiene: clean rows that are kept as they are", untouched, bar=Bar(relation=">=", limit=KEPT))
    figure = "hygiene: contaminated rows that are dropped, or repaired to the byte"
    yield Row.share(figure, mended, bar=Bar(relation=">=", limit=MENDED))
    report = json.loads((folder / REPORT).read_text(encoding="utf-8"))
    yield Row(figure="hygiene: rows", value=report["rows"], unit="")
    for reason, count in report["reasons"].items():
        yield Row(figure=f"hygiene: rows with the reason {reason}", value=count, unit="")
    yield Row(figure="hygiene: rows that are dropped", value=len(list(whole_rows(folder / DROPPED))), unit="")


def health_rows(found: Scored, *, judged: bool) -> Iterator[Row]:
    """Yield what the runs of a finished study write, and the findings against the run that was never contaminated."""
    for name in (name for name, each in found.items() if each):
        runs = list(generated(found, name))
        for statistic in ("shared_end", "loops", "emoji", "repeated", "unended", "length"):
            values = [float(getattr(run.statistics, statistic)) for run in runs]
            yield Row.median(f"{name}: {statistic}", values, "words" if statistic == "length" else "")
        passed = by_prompt(found[name][GENERATIONS], "code/passed")
        yield Row.median(f"{name}: functions without a flaw", [float(one.mean()) for one in passed], "")
    for step in ("sft", "dpo"):
        clean = list(generated(found, f"{step}_clean"))
        for name in ("contaminated", "filtered"):
            runs = generated(found, f"{step}_{name}")
            reports = [run.findings(reference) for run, reference in zip(runs, clean, strict=True)]
            # The model that goes through both is the one that is judged.
            bars = judged and step == "dpo"
            if name == "filtered":
                most = max(map(len, reports))
                bar = Bar(relation="<=", limit=0) if bars else None
                yield Row(figure=f"{step}_filtered: most findings at a seed", value=most, unit="", bar=bar)
                continue
            for words, sign in _SIGNS.items():
                seeds = [any(words in line for line in report) for report in reports]
                yield Row(
                    figure=f"{step}_contaminated: share of the seeds at which findings report {sign}",
                    value=sum(seeds) / len(seeds),
                    unit="",
                    bar=Bar(relation=">=", limit=1) if bars else None,
                )


def bits_rows(found: Scored, *, judged: bool) -> Iterator[Row]:
    """Yield the bits per byte of held-out bodies, and how far they are from the run that was never contaminated."""
    for step in ("sft", "dpo"):
        clean, *others = (
            [one.metrics["bits_per_byte"] for one in found[f"{step}_{name}"]["bits_per_byte"]]
            for name in collapse.LEARNT
        )
        yield Row.median(f"{step}_clean: bits per byte of held-out bodies", clean, "bits")
        for name, values in zip(list(collapse.LEARNT)[1:], others, strict=True):
            yield Row.median(f"{step}_{name}: bits per byte of held-out bodies", values, "bits")
            furthest = max(abs(value / before - 1) for value, before in zip(values, clean, strict=True))
            bar = Bar(relation="<=", limit=BITS) if judged and name == "filtered" and step == "dpo" else None
            figure = f"{step}_{name}: greatest relative distance of bits per byte from {step}_clean, over the seeds"
            yield Row(figure=figure, value=furthest, unit="", bar=bar)
