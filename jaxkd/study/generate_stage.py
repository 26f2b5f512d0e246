"""Let a model, a program or a file answer the prompts of a split once, and store the answers: the `Generate` stage."""

import dataclasses
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import jax

from jaxkd.data.examples import Example
from jaxkd.data.text.packed_text import PackedText
from jaxkd.data.text.prompts.follow_up import FollowUp
from jaxkd.evals.judges.chat import Chat
from jaxkd.evals.judges.local_model import LocalModel
from jaxkd.models.checkpoints.pretrained import Pretrained
from jaxkd.models.transformer.architecture import DecoderConfig
from jaxkd.runtime.progress import progress
from jaxkd.runtime.storage import inputs
from jaxkd.runtime.storage.files import append, write_text
from jaxkd.runtime.storage.json_lines import whole_rows
from jaxkd.sampling import GREEDY, Finish, Sampling
from jaxkd.sharding import mesh as meshes
from jaxkd.study.answers.writers import ChatWriter, CheckpointWriter, RecordedAnswers, RecordedWriter, Writer, Written
from jaxkd.training import stage_folder
from jaxkd.training.stage import Stage, resolve
from jaxkd.typing import Split

_log = logging.getLogger(__name__)

ANSWERS = "answers.jsonl"
"""File of all answers."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Generate(Stage):
    """Generate answers of `model` to the prompts of a split, to train a student on in place of those of the data.

    The folder holds all answers in `answers.jsonl`, each with its writer, and those to learn from in SPLIT.jsonl, by
    the keys of the data: `SFT` on `Jsonl(train="stage:NAME")` is sequence-level distillation, and another `Generate`
    stage on `FollowUp(source=Jsonl(train="stage:NAME"), turn=...)` goes on with the conversations.

    Examples without a response, which are prompts alone, are answered too; those with one are answered if training on
    the same data would read them.

    Source: Kim and Rush, Sequence-Level Knowledge Distillation, arXiv 1606.07947, section 3.2.  Deviation: one answer
    per prompt, greedy or sampled, where the paper uses beam search.
    """

    model: Pretrained | Chat | RecordedAnswers
    """Writer of the answers: a checkpoint; a chat, which may be a service or a program of your own; or a file."""
    data: PackedText
    """Text whose prompts are answered, as a training run with the same data sees them.  Without a checkpoint there are
    no tokens, and only its source and limit count."""
    split: Split = "train"
    """Split of the data whose prompts are answered."""
    max_new_tokens: int = 256
    """Largest number of tokens of an answer."""
    sampling: Sampling = GREEDY
    """Options of sampling the answers; a chat takes the temperature alone.  Default: the most probable token at each
    step."""
    unfinished: Literal["drop", "keep"] = "drop"
    """Treatment of answers truncated by `max_new_tokens`: they teach a student to stop there.  Chats and files do not
    tell."""
    rows: int = 32
    """Number of prompts per batch; an interrupted stage resumes after the last complete batch."""
    sample_seed: int = 0
    """Seed of a checkpoint's samples, if the temperature is not 0."""
    mesh: meshes.MeshShape = dataclasses.field(default_factory=meshes.MeshShape)
    """Number of devices along each axis of the mesh.  Default: rows are split over all devices."""

    def validate(self) -> None:
        if isinstance(self.model, Pretrained):
            self._require_room(self.model.config())
        elif isinstance(self.model, LocalModel):
            raise ValueError(
                "model must be the checkpoint itself, got a LocalModel, which neither tells why an answer ended nor "
                "knows its tokens. Give its model; the template is that of data."
            )
        elif self.sampling != Sampling(temperature=self.sampling.temperature):
            raise ValueError(
                f"sampling must have the temperature alone for a model that is no checkpoint, got {self.sampling}."
            )
        if isinstance(self.model, RecordedAnswers):
            self.model.texts()
        if self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens must be at least 1, got {self.max_new_tokens}.")
        if isinstance(self.data.source, FollowUp):
            self.data.source.validate()
        if self.rows < 1:
            raise ValueError(f"rows must be at least 1, got {self.rows}.")
        if jax.process_count() > 1:
            raise ValueError(
                "a Generate stage must run in one process. Write the answers first, then start the others."
            )

    def _require_room(self, config: DecoderConfig) -> None:
        self.data.check_fits(config)
        room = config.max_positions - self.data.length
        if not 1 <= self.max_new_tokens <= room:
            raise ValueError(
                f"max_new_tokens must be between 1 and {room}, what the model's positions leave beside data.length, "
                f"got {self.max_new_tokens}."
            )

    def provenance(self) -> str:
        return f"answers: {self.model.provenance()}"

    def writer(self) -> Writer:
        """Return what writes the answers, on the ambient mesh.

        Raises:
            ValueError: a conversation that does not fit into `data.length`, or a key without a recorded answer.
        """
        match self.model:
            case Pretrained():
                return CheckpointWriter(
                    self.model,
                    self.data,
                    self.split,
                    max_new_tokens=self.max_new_tokens,
                    sampling=self.sampling,
                    seed=self.sample_seed,
                    rows=self.rows,
                )
            case RecordedAnswers():
                return RecordedWriter(self.model, self.data, self.split)
            case Chat():
                return ChatWriter(
                    self.model,
                    self.data,
                    self.split,
                    max_new_tokens=self.max_new_tokens,
                    temperature=self.sampling.temperature,
                )

    def run(self, folder: Path, *, seed: int, stages: Mapping[str, Path]) -> None:
        """Write the answers, or those that are missing.

        Raises:
            ValueError: a conversation that does not fit, no usable answer, or a folder that was begun with files of
                other contents, a constitution's among them.
        """
        del seed
        with stage_folder.claimed(folder, self, work=(ANSWERS,)):
            self._run(folder, stages)

    def _run(self, folder: Path, stages: Mapping[str, Path]) -> None:
        learnt, resolved = folder / f"{self.split}.jsonl", resolve(self, stages)
        _keep_inputs(resolved, folder)
        if learnt.exists():
            _log.info("%s is finished: nothing to do", folder)
            return
        written = folder / ANSWERS
        with jax.set_mesh(meshes.make(self.mesh)):
            _write(resolved, written)
        rows = list(whole_rows(written))
        kept = [row for row in rows if row["messages"][-1]["content"].strip() and self._keeps(row)]
        _log.info("%s: %d of %d answers are kept, the others are empty or do not end", folder, len(kept), len(rows))
        if not kept:
            raise ValueError(
                f"one answer at least must end within max_new_tokens={self.max_new_tokens}, got none of {len(rows)}. "
                f'Raise it, or set unfinished="keep"; {written} shows what was written.'
            )
        write_text(learnt, "".join(_line({"key": row["key"], "messages": row["messages"]}) for row in kept))

    def _keeps(self, row: Mapping[str, Any]) -> bool:
        return self.unfinished == "keep" or row["finish"] != Finish.LENGTH.name


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Inputs:
    """Parts of a stage that name files, whose contents must not change under a folder that has answers."""

    data: PackedText
    split: Split
    model: RecordedAnswers | None


def _keep_inputs(answer: Generate, folder: Path) -> None:
    """Store the contents of the files that a stage reads when it begins, and compare them when it goes on."""
    model = answer.model if isinstance(answer.model, RecordedAnswers) else None
    used = _Inputs(data=answer.data, split=answer.split, model=model)
    written = folder / ANSWERS
    if written.exists() and written.stat().st_size:
        inputs.require_unchanged(folder, used)
    else:
        inputs.store(folder, used)


def _write(answer: Generate, path: Path) -> None:
    """Append the answers that the file lacks."""
    writer, wrote = answer.writer(), answer.model.provenance()
    done, total = _done(path, writer), len(writer.examples)
    with progress(total, answer.name, start=done) as bar:
        for start in range(done, total, answer.rows):
            places = range(start, min(start + answer.rows, total))
            written = writer(places)
            rows = [_row(writer.examples[place], text, wrote) for place, text in zip(places, written, strict=True)]
            append(path, "".join(map(_line, rows)))
            bar.update(places.stop, count=sum(text.tokens or 0 for text in written))


def _done(path: Path, writer: Writer) -> int:
    """Return the number of answers in the file, which must be to the first examples."""
    keys = [row["key"] for row in whole_rows(path)]
    expected = [example.key for example in writer.examples[: len(keys)]]
    if keys != expected:
        place = next(
            (at for at, pair in enumerate(zip(keys, expected, strict=False)) if len({*pair}) > 1), len(expected)
        )
        raise ValueError(
            f"{path}, line {place + 1}, must answer the prompts of this run, got an answer to {keys[place]!r}. The "
            "data have changed since; name another --workdir, or remove the file."
        )
    return len(keys)


def _row(example: Example, written: Written, writer: str) -> dict[str, Any]:
    """Return the conversation, and facts about the answer that inform the user."""
    return {
        "messages": [
            {"role": role, "content": content} for role, content in (*example.messages, ("assistant", written.text))
        ],
        "key": example.key,
        "turn": example.turn,
        "writer": writer,
        "tokens": written.tokens,
        "finish": written.finish,
    }


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"
