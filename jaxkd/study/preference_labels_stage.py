"""Let a judge say which of two draws to each prompt is better, and store the pairs: the `PreferenceLabels` stage."""

import dataclasses
import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import jax

from jaxkd.constitution.answer_pairs import AnswerPair, DroppedPair, LabelReason, join_answers
from jaxkd.constitution.preference_labels import (
    PairLabel,
    both_orders,
    clamped,
    comparison_principle,
    label,
    label_statistics,
)
from jaxkd.constitution.reading import EIGHT_PRINCIPLES, located
from jaxkd.data.examples import Messages, Source
from jaxkd.data.text.prompts.halves import require_disjoint_prompts
from jaxkd.evals.judges.pairwise import Judge
from jaxkd.evals.language.samples import readable
from jaxkd.runtime.packages import file_sha256
from jaxkd.runtime.progress import progress
from jaxkd.runtime.storage import inputs
from jaxkd.runtime.storage.files import append, write_json, write_text
from jaxkd.runtime.storage.json_lines import whole_rows
from jaxkd.sharding import mesh as meshes
from jaxkd.study.clean_stage import DROPPED
from jaxkd.training import stage_folder
from jaxkd.training.stage import Stage, resolve
from jaxkd.typing import Split

_log = logging.getLogger(__name__)

VERDICTS = "verdicts.jsonl"
"""File of the judge's probabilities of the draw that it read first, in both orders, a pair a line."""

REPORT = "labels.json"
"""File of the counts, of the judge's position bias and of the agreement of both orders."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PreferenceLabels(Stage):
    """Label two draws to each prompt by a judge: `DPO` on `PreferenceJsonl(train="stage:NAME")` learns from them.

    Each pair is judged by one principle, which a hash of the seed and the key draws from the constitution's
    `preferences`, and in both orders, whose mean is the label.  SPLIT.jsonl has the pairs, the more probable draw as
    `chosen`, each with its probability, the disagreement of both orders, the principle, the judge and the seed;
    `dropped.jsonl` has the others with their reasons; and `labels.json` has the counts, the position bias and the
    agreement.  Draws are joined by key and prompt.

    Source: Bai et al., Constitutional AI, arXiv 2212.08073, section 4.1.  Deviation: both orders, which cancel a
    constant bias; a hard label where the judge gives verdicts, as in Zhang, arXiv 2504.04918.
    """

    first: Source
    """Source of one draw to each prompt: that of a `Generate` stage is `Jsonl(train="stage:NAME")`."""
    second: Source
    """Source of another draw to the same prompts, under the same keys."""
    judge: Judge
    """Judge: `ModelJudge` by letter, `ScoringJudge` by log-probabilities, or your own."""
    constitution: str = EIGHT_PRINCIPLES
    """Path of a constitution, as `read_constitution` reads it, or the name of the one in this package."""
    learnt: Source | None = None
    """Source that another stage learns, as SFT, with which no prompt may be shared.  None: not checked, as for two
    `Half` of one source, which share none."""
    margin: float = 0.0
    """Distance of a probability from 0.5, in [0, 0.5], below which a pair is dropped.  One of 0.5 is always: it has no
    better draw."""
    clamp: float | None = None
    """Bound of the probabilities that are written, which are clipped to [clamp, 1 - clamp], in (0, 0.5): 0.4 is that of
    Bai et al. for overconfident labels.  None: not clipped."""
    split: Split = "train"
    """Split of the draws."""
    sample_seed: int = 0
    """Seed of the principles that are drawn."""
    rows: int = 128
    """Number of pairs that are judged at a time; an interrupted stage resumes after the last complete batch.  A judging
    checkpoint is loaded once a batch."""
    mesh: meshes.MeshShape = dataclasses.field(default_factory=meshes.MeshShape)
    """Number of devices along each axis of the mesh of a judging model.  Default: rows are split over all devices."""

    def validate(self) -> None:
        if not 0 <= self.margin <= 0.5:
            raise ValueError(f"margin must be in [0, 0.5], got {self.margin}. It is a distance of probabilities.")
        if self.clamp is not None and not 0 < self.clamp < 0.5:
            raise ValueError(f"clamp must be in (0, 0.5), or None to clip no probability, got {self.clamp}.")
        if self.rows < 1:
            raise ValueError(f"rows must be at least 1, got {self.rows}.")
        comparison_principle(self.constitution, seed=self.sample_seed, key="")
        if jax.process_count() > 1:
            raise ValueError(
                "a PreferenceLabels stage must run in one process. Label the pairs first, then start the others."
            )

    def provenance(self) -> str:
        return f"labels: {self.judge.provenance()}"

    def run(self, folder: Path, *, seed: int, stages: Mapping[str, Path]) -> None:
        """Judge the pairs, or those that are left, and write the labels.

        Raises:
            ValueError: draws to different prompts, prompts that are learnt too, a judge that returns something else
                than probabilities, no pair with a usable verdict, or a folder that was begun with files of other
                contents, a constitution's among them.
        """
        del seed
        learnt = folder / f"{self.split}.jsonl"
        # Until the pairs are written, another margin or clamp needs no other verdicts.
        may_differ = frozenset({"label"} if learnt.exists() else {"label", "margin", "clamp"})
        with stage_folder.claimed(folder, self, work=(VERDICTS, learnt.name), may_differ=may_differ):
            self._run(folder, stages)

    def _run(self, folder: Path, stages: Mapping[str, Path]) -> None:
        resolved, verdicts = resolve(self, stages), folder / VERDICTS
        _keep_inputs(resolved, folder)
        if (folder / f"{self.split}.jsonl").exists():
            _log.info("%s is finished: nothing to do", folder)
            return
        first, second = (source.examples(self.split) for source in (resolved.first, resolved.second))
        pairs, dropped = join_answers(first, second, constitution=self.constitution, seed=self.sample_seed)
        if resolved.learnt is not None:
            learnt = resolved.learnt.examples(self.split)
            require_disjoint_prompts([pair.first for pair in pairs], learnt, name="first", other="learnt")
        with jax.set_mesh(meshes.make(self.mesh)):
            _judge(resolved, pairs, verdicts)
        _write(resolved, pairs, dropped, folder)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _ConstitutionFile:
    """Part of the inputs that names the constitution."""

    constitution: str

    def input_hashes(self, split: Split) -> dict[str, str]:
        """Return the hash of the constitution's file."""
        del split
        return {"constitution": file_sha256(located(self.constitution))}


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Inputs:
    """Parts of a stage that name files, whose contents must not change under a folder that has verdicts."""

    first: Source
    second: Source
    judge: Judge
    principles: _ConstitutionFile
    split: Split


def _keep_inputs(stage: PreferenceLabels, folder: Path) -> None:
    """Store the contents of the files that a stage reads when it begins, and compare them when it goes on."""
    used = _Inputs(
        first=stage.first,
        second=stage.second,
        judge=stage.judge,
        principles=_ConstitutionFile(constitution=stage.constitution),
        split=stage.split,
    )
    written = folder / VERDICTS
    if written.exists() and written.stat().st_size:
        inputs.require_unchanged(folder, used)
    else:
        inputs.store(folder, used)


def _judge(stage: PreferenceLabels, pairs: Sequence[AnswerPair], path: Path) -> None:
    """Append the verdicts that the file lacks."""
    done = _done(pairs, path)
    if not pairs:
        return
    with progress(len(pairs), stage.name, start=done) as bar:
        for start in range(done, len(pairs), stage.rows):
            batch = pairs[start : start + stage.rows]
            questions = [
                question
                for pair in batch
                for question in both_orders(
                    readable(pair.first), pair.first.response, pair.second.response, principle=pair.principle.text
                )
            ]
            found = _checked(stage.judge.probabilities(questions), len(questions), stage.judge)
            rows = [
                _named(pair) | {"probabilities": [first, second]}
                for pair, first, second in zip(batch, found[::2], found[1::2], strict=True)
            ]
            append(path, "".join(map(_line, rows)))
            bar.update(start + len(batch))


def _checked(found: Sequence[float | None], count: int, judge: Judge) -> list[float | None]:
    """Return a judge's probabilities as Python's numbers, which JSON has.

    Raises:
        ValueError: another number of them than of questions, or something else than probabilities.
    """
    if len(found) != count:
        raise ValueError(
            f"{type(judge).__name__} must return one probability per question, got {len(found)} for {count}."
        )
    wrong = [one for one in found if one is not None and not 0 <= one <= 1]
    if wrong:
        raise ValueError(
            f"{type(judge).__name__} must return probabilities in [0, 1], or None without a verdict, got {wrong[0]}."
        )
    return [None if one is None else float(one) for one in found]


def _named(pair: AnswerPair) -> dict[str, Any]:
    """Return what a verdict is about."""
    return {"key": pair.first.key, "principle": pair.principle.id}


def _done(pairs: Sequence[AnswerPair], path: Path) -> int:
    """Return the number of verdicts in the file, which must be on the first pairs."""
    rows = [{name: row.get(name) for name in ("key", "principle")} for row in whole_rows(path)]
    expected = [_named(pair) for pair in pairs[: len(rows)]]
    if rows != expected:
        place = next((at for at, (row, one) in enumerate(zip(rows, expected, strict=False)) if row != one), len(pairs))
        raise ValueError(
            f"{path}, line {place + 1}, must be about the pairs of this run, got a verdict on {rows[place]['key']!r}. "
            "The draws have changed since; name another --workdir, or remove the file."
        )
    return len(rows)


def _write(stage: PreferenceLabels, pairs: Sequence[AnswerPair], unjudged: Sequence[DroppedPair], folder: Path) -> None:
    """Write the dropped pairs, the report and the pairs to learn from, the last of them last.

    Raises:
        ValueError: no pair with a verdict for one of its draws.
    """
    judge = stage.judge.provenance()
    readings = [(first, second) for first, second in (row["probabilities"] for row in whole_rows(folder / VERDICTS))]
    kept, dropped = [], [_dropped(pair) for pair in unjudged]
    for pair, reading in zip(pairs, readings, strict=True):
        found = label(reading)
        if found is not None and found.decided(stage.margin):
            kept.append(_row(pair, found, clamp=stage.clamp) | {"judge": judge, "seed": stage.sample_seed})
        else:
            without = DroppedPair(
                first=pair.first, second=pair.second, reason="no_verdict" if found is None else "undecided"
            )
            dropped.append(_dropped(without) | {"principle": pair.principle.id, "probabilities": reading})
    report = _report(stage, kept, dropped, readings)
    write_text(folder / DROPPED, "".join(map(_line, dropped)))
    write_json(folder / REPORT, report)
    for reason, count in report["dropped"].items():
        _log.info("%s: %s: %d of %d pairs", folder, reason, count, report["pairs"])
    _log.info("%s: %d of %d pairs are kept", folder, len(kept), report["pairs"])
    if not kept:
        counts = ", ".join(f"{reason} {count}" for reason, count in report["dropped"].items() if count)
        raise ValueError(
            f"one pair at least must have a verdict for one of its draws, got none of {report['pairs']}: {counts}. "
            f"{_of_readings(report)}{folder / DROPPED} has each pair with its reason. Take another judge, a smaller "
            "margin or draws that differ more."
        )
    _log.info("%s: %s", folder, _of_readings(report).strip())
    write_text(folder / f"{stage.split}.jsonl", "".join(map(_line, kept)))


def _row(pair: AnswerPair, found: PairLabel, *, clamp: float | None) -> dict[str, Any]:
    """Return the row of a labelled pair, as `PreferenceJsonl` reads it."""
    swapped = found.probability < 0.5
    chosen, rejected = (pair.second, pair.first) if swapped else (pair.first, pair.second)
    return {
        "key": pair.first.key,
        "prompt": _messages(pair.first.messages),
        "chosen": _messages((("assistant", chosen.response),)),
        "rejected": _messages((("assistant", rejected.response),)),
        "pref_prob": clamped((found.swapped if swapped else found).probability, clamp),
        "order_disagreement": found.order_disagreement,
        "principle": pair.principle.id,
    }


def _dropped(pair: DroppedPair) -> dict[str, Any]:
    """Return the row of a pair that is dropped."""
    example = pair.first or pair.second
    return {
        "key": example and example.key,
        "prompt": _messages(example.messages if example else ()),
        "first": pair.first and pair.first.response,
        "second": pair.second and pair.second.response,
        "reason": pair.reason,
    }


def _report(
    stage: PreferenceLabels,
    kept: Sequence[Mapping[str, Any]],
    dropped: Sequence[Mapping[str, Any]],
    readings: Sequence[tuple[float | None, float | None]],
) -> dict[str, Any]:
    reasons = Counter(row["reason"] for row in dropped)
    principles = Counter(row["principle"] for row in kept)
    return {
        "pairs": len(kept) + len(dropped),
        "kept": len(kept),
        "dropped": {reason: reasons[reason] for reason in get_args(LabelReason)},
        "judged": dataclasses.asdict(label_statistics(readings)) if readings else None,
        "principles": dict(sorted(principles.items())),
        "judge": stage.judge.provenance(),
        "constitution": stage.constitution,
        "margin": stage.margin,
        "clamp": stage.clamp,
        "seed": stage.sample_seed,
    }


def _of_readings(report: Mapping[str, Any]) -> str:
    """Return a sentence about the judge's reliability; empty if it judged nothing."""
    found = report["judged"]
    if found is None:
        return ""
    told = [f"{found['no_verdict_share']:.1%} have no verdict"]
    if found["verdicts"]:
        told.append(f"the others a mean probability of {found['first_share']:.2f} for the answer read first")
    if found["both_orders"]:
        told.append(f"both orders agree on {found['consistent']:.1%} of {found['both_orders']} pairs")
        told.append(f"position bias {found['position_bias']:+.2f}")
    return f"Of {2 * found['pairs']} readings by {report['judge']}, {', '.join(told)}. "


def _messages(messages: Messages) -> list[dict[str, str]]:
    return [{"role": role, "content": content} for role, content in messages]


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"
