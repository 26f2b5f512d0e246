"""Let a teacher answer the prompts of a split once and store the answers: the `Generate` stage."""

import dataclasses
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import jax

from jaxkd.data.examples import Example
from jaxkd.data.text.chat import Tokenized
from jaxkd.data.text.packed_text import PackedText
from jaxkd.models.checkpoints.language_model import language_model
from jaxkd.models.checkpoints.pretrained import Pretrained
from jaxkd.runtime.progress import progress
from jaxkd.runtime.storage.files import append, write_text
from jaxkd.runtime.storage.json_lines import whole_rows
from jaxkd.sampling import GREEDY, Finish, Sampling, generate
from jaxkd.sharding import mesh as meshes
from jaxkd.training import stage_folder
from jaxkd.training.stage import Stage, resolve
from jaxkd.typing import Split

_log = logging.getLogger(__name__)

ANSWERS = "answers.jsonl"
"""File of all answers."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Generate(Stage):
    """Generate answers of `model` to the prompts of a split, to train a student on in place of those of the data.

    The folder holds all answers in `answers.jsonl`, and those to learn from in SPLIT.jsonl: `SFT` on
    `Jsonl(train="stage:NAME")` is sequence-level distillation.

    Source: Kim and Rush, Sequence-Level Knowledge Distillation, arXiv 1606.07947, section 3.2.  Deviation: one answer
    per prompt, greedy or sampled, where the paper uses beam search.
    """

    model: Pretrained
    """Model that answers."""
    data: PackedText
    """Text whose prompts are answered, as a training run with the same data sees them."""
    split: Split = "train"
    """Split of the data whose prompts are answered."""
    max_new_tokens: int = 256
    """Largest number of tokens of an answer."""
    sampling: Sampling = GREEDY
    """Options of sampling the answers.  Default: the most probable token at each step."""
    unfinished: Literal["drop", "keep"] = "drop"
    """Treatment of answers truncated by `max_new_tokens`: they teach a student to stop there."""
    rows: int = 32
    """Number of prompts per batch; an interrupted stage resumes after the last complete batch."""
    sample_seed: int = 0
    """Seed of the samples, if the temperature is not 0."""
    mesh: meshes.MeshShape = dataclasses.field(default_factory=meshes.MeshShape)
    """Number of devices along each axis of the mesh.  Default: rows are split over all devices."""

    def validate(self) -> None:
        self.data.check_fits(self.model.config())
        room = self.model.config().max_positions - self.data.length
        if not 1 <= self.max_new_tokens <= room:
            raise ValueError(
                f"max_new_tokens must be between 1 and {room}, what the model's positions leave beside data.length, "
                f"got {self.max_new_tokens}."
            )
        if self.rows < 1:
            raise ValueError(f"rows must be at least 1, got {self.rows}.")
        if jax.process_count() > 1:
            raise ValueError(
                "a Generate stage must run in one process. Write the answers first, then start the others."
            )

    def provenance(self) -> str:
        return f"answers: {self.model.provenance()}"

    def run(self, folder: Path, *, seed: int, stages: Mapping[str, Path]) -> None:
        """Write the answers, or those that are missing.

        Raises:
            ValueError: no usable answer.
        """
        del seed
        with stage_folder.claimed(folder, self, work=(ANSWERS,)):
            self._run(folder, stages)

    def _run(self, folder: Path, stages: Mapping[str, Path]) -> None:
        learnt = folder / f"{self.split}.jsonl"
        if learnt.exists():
            _log.info("%s is finished: nothing to do", folder)
            return
        written = folder / ANSWERS
        with jax.set_mesh(meshes.make(self.mesh)):
            _write(resolve(self, stages), written)
        rows = list(whole_rows(written))
        kept = [row for row in rows if row["messages"][-1]["content"].strip() and self._keeps(row)]
        _log.info("%s: %d of %d answers are kept, the others are empty or do not end", folder, len(kept), len(rows))
        if not kept:
            raise ValueError(
                f"one answer at least must end within max_new_tokens={self.max_new_tokens}, got none of {len(rows)}. "
                f'Raise it, or set unfinished="keep"; {written} shows what was written.'
            )
        write_text(learnt, "".join(_line({"messages": row["messages"]}) for row in kept))

    def _keeps(self, row: Mapping[str, Any]) -> bool:
        return self.unfinished == "keep" or row["finish"] != Finish.LENGTH.name


def _write(answer: Generate, path: Path) -> None:
    """Append the answers that the file lacks."""
    model = language_model(answer.model)
    # Prompts of similar length run together, so that little of a batch is padding.
    prompts = sorted(answer.data.tokenized(answer.split, model.tokenizer), key=lambda one: one.prompt_length)
    examples = {example.key: example for example in answer.data.source.examples(answer.split)}
    done = sum(1 for _ in whole_rows(path))
    with progress(len(prompts), answer.name, start=done) as bar:
        for start in range(done, len(prompts), answer.rows):
            batch = prompts[start : start + answer.rows]
            texts = generate(
                model,
                [one.tokens[: one.prompt_length].tolist() for one in batch],
                max_new_tokens=answer.max_new_tokens,
                sampling=answer.sampling,
                key=jax.random.key(answer.sample_seed),
                example_ids=[one.index for one in batch],
                rows=answer.rows,
            )
            rows = [
                _row(one, examples[one.key], text.text, len(text.tokens), text.finish)
                for one, text in zip(batch, texts, strict=True)
            ]
            append(path, "".join(map(_line, rows)))
            bar.update(start + len(batch), count=sum(len(text.tokens) for text in texts))


def _row(prompt: Tokenized, example: Example, text: str, tokens: int, finish: Finish) -> dict[str, Any]:
    """Return the conversation, and facts about the answer that inform the user."""
    messages = [*example.messages, ("assistant", text)]
    return {
        "messages": [{"role": role, "content": content} for role, content in messages],
        "key": prompt.key,
        "tokens": tokens,
        "finish": finish.name,
    }


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"
