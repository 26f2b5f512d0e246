"""Speed of three passes, initial, critique and revision, beside `generate` alone on the same prompts."""

import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from benchmarks.constitution.grammar import two_behaviours
from benchmarks.constitution.grammar.character_model import write_character_model
from benchmarks.constitution.grammar.grammar_study import CONSTITUTION, write_rows
from benchmarks.row import Bar, Row
from benchmarks.timing import interleaved
from jaxkd.constitution import Critique, Revision
from jaxkd.data import FollowUp, Jsonl, PackedText
from jaxkd.data.examples import Source
from jaxkd.models import Pretrained
from jaxkd.models.checkpoints.language_model import language_model
from jaxkd.sampling import Sampling, generate
from jaxkd.sharding import MeshShape
from jaxkd.sharding.mesh import make
from jaxkd.study import Generate, Study, run_study

PROMPTS, NEW, BATCH = 256, 64, 32
"""Prompts, tokens of an answer at most, and prompts that run together."""
WIDTH, DEPTH = 256, 4
"""A decoder with random weights, which writes to the last token."""
PASSES = ("initial", "critique", "revision")
REPEATS = 5

COST = Bar(relation=">=", limit=0.9)


def rows(quick: bool) -> tuple[Row, ...]:
    """Measure tokens a second of both, interleaved; quick: 64 prompts."""
    with tempfile.TemporaryDirectory() as name:
        folder, count = Path(name), 64 if quick else PROMPTS
        model = write_character_model(folder / "model", seed=0, width=WIDTH, depth=DEPTH)
        study, runs = _study(folder, model, count), iter(range(100))
        # Its prompts are those of `generate` alone, and it compiles all programs.
        first = folder / "first"
        run_study(study, first)
        prompts = {stage: _prompts(first / stage, model) for stage in PASSES}

        def stages() -> float:
            workdir, start = folder / str(next(runs)), time.perf_counter()
            run_study(study, workdir)
            seconds = time.perf_counter() - start
            return _written(workdir) / seconds

        def alone() -> float:
            with jax.set_mesh(make(MeshShape(data=1))):
                loaded, start = language_model(model), time.perf_counter()
                tokens = 0
                for found in prompts.values():
                    texts = generate(
                        loaded,
                        found,
                        max_new_tokens=NEW,
                        sampling=Sampling(temperature=1.0),
                        key=jax.random.key(0),
                        rows=BATCH,
                    )
                    tokens += sum(len(text.tokens) for text in texts)
                return tokens / (time.perf_counter() - start)

        found = interleaved({"stages": stages, "alone": alone}, repeats=REPEATS)
    ratios = [one / other for one, other in zip(found["stages"], found["alone"], strict=True)]
    return (
        Row.median(f"throughput: three passes over {count} prompts", found["stages"], "tokens/s"),
        Row.median("throughput: generate alone on the same prompts", found["alone"], "tokens/s"),
        Row.median("throughput: three passes / generate alone", ratios, "x", bar=COST),
    )


def _study(folder: Path, model: Pretrained, count: int) -> Study:
    constitution = folder / "constitution.yaml"
    constitution.write_text(CONSTITUTION, encoding="utf-8")
    (prompts,) = two_behaviours.sample_prompts(0, [("benign", count)])
    write_rows(folder / "prompts.jsonl", two_behaviours.prompt_rows(prompts))
    critique, revision = Critique(constitution=str(constitution)), Revision(constitution=str(constitution))
    sources: Mapping[str, Source] = {
        "initial": Jsonl(train=str(folder / "prompts.jsonl"), responses="optional"),
        "critique": FollowUp(source=Jsonl(train="stage:initial"), turn=critique),
        "revision": FollowUp(source=Jsonl(train="stage:critique"), turn=revision),
    }
    stages = tuple(
        Generate(
            name=name,
            model=model,
            data=PackedText(source=source, length=384),
            max_new_tokens=NEW,
            sampling=Sampling(temperature=1.0),
            unfinished="keep",
            rows=BATCH,
            mesh=MeshShape(data=1),
        )
        for name, source in sources.items()
    )
    return Study(name="throughput", title="Throughput", description="Three passes.", stages=stages)


def _prompts(folder: Path, model: Pretrained) -> Sequence[Sequence[int]]:
    """Return the prompts of a stage as tokens, from the conversations that it has answered."""
    tokenizer = model.tokenizer()
    conversations = [json.loads(line)["messages"][:-1] for line in _lines(folder)]
    found: list[Any] = [
        tokenizer.apply_chat_template(one, add_generation_prompt=True, tokenize=True) for one in conversations
    ]
    return [one["input_ids"] if isinstance(one, Mapping) else one for one in found]


def _written(workdir: Path) -> int:
    """Return the number of tokens that the stages wrote."""
    return sum(json.loads(line)["tokens"] for stage in PASSES for line in _lines(workdir / stage))


def _lines(folder: Path) -> list[str]:
    return (folder / "answers.jsonl").read_text(encoding="utf-8").splitlines()
