"""A round of critique and revision in miniature, interrupted and run again: do its files hold the same bytes?"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from benchmarks.constitution.grammar import two_behaviours
from benchmarks.constitution.grammar.character_model import write_character_model
from benchmarks.constitution.grammar.grammar_study import CONSTITUTION, write_rows
from jaxkd.constitution import Critique, Revision
from jaxkd.data import FollowUp, Jsonl, PackedText
from jaxkd.data.examples import Source
from jaxkd.data.text.hygiene import Hygiene
from jaxkd.sampling import Sampling
from jaxkd.sharding import MeshShape
from jaxkd.study import Clean, Generate, Study, generate_stage, run_study

PROMPTS, ROWS = 12, 4
KEPT = ("answers.jsonl", "train.jsonl", "dropped.jsonl", "hygiene.json")
"""Files that the stages write for others to read."""


class Stopped(Exception):
    """Stop of the pipeline in the middle of a stage."""


def differing_files(folder: Path) -> dict[str, int]:
    """Run the pipeline of a model with random weights three ways, and count the files whose bytes differ.

    Args:
        folder: empty folder.

    Returns:
        Number of files; of those that differ after the pipeline was stopped within each stage and resumed; of those
        that differ when it runs once more over the finished folder; and in another folder.
    """
    study = _study(folder)
    for name in ("whole", "stopped", "again"):
        if name == "stopped":
            for batches in (2, 4, 7):
                with contextlib.suppress(Stopped), _stop_after(batches):
                    run_study(study, folder / name)
        run_study(study, folder / name)
    whole = _bytes(folder / "whole")
    run_study(study, folder / "whole")
    found = {
        "stopped and resumed, files that differ": _bytes(folder / "stopped"),
        "run over the finished folder, files that differ": _bytes(folder / "whole"),
        "run in another folder, files that differ": _bytes(folder / "again"),
    }
    return {"files": len(whole)} | {
        name: sum(whole.get(file) != other.get(file) for file in whole.keys() | other.keys())
        for name, other in found.items()
    }


def _study(folder: Path) -> Study:
    model = write_character_model(folder / "model", seed=0, width=32, depth=1)
    constitution = folder / "constitution.yaml"
    constitution.write_text(CONSTITUTION, encoding="utf-8")
    (prompts,) = two_behaviours.sample_prompts(0, [("benign", PROMPTS)])
    write_rows(folder / "prompts.jsonl", two_behaviours.prompt_rows(prompts))

    def generate(name: str, source: Source) -> Generate:
        return Generate(
            name=name,
            model=model,
            data=PackedText(source=source, length=128),
            max_new_tokens=8,
            sampling=Sampling(temperature=1.0),
            unfinished="keep",
            rows=ROWS,
            mesh=MeshShape(data=1),
        )

    critique, revision = Critique(constitution=str(constitution)), Revision(constitution=str(constitution))
    return Study(
        name="resumed",
        title="Resumed",
        description="A round of critique and revision in miniature.",
        stages=(
            generate("initial", Jsonl(train=str(folder / "prompts.jsonl"), responses="optional")),
            generate("critique", FollowUp(source=Jsonl(train="stage:initial"), turn=critique)),
            generate("revision", FollowUp(source=Jsonl(train="stage:critique"), turn=revision)),
            Clean(
                name="clean",
                source=Jsonl(train="stage:revision"),
                hygiene=Hygiene(reasons=("emoji", "marker")),
                generated="stage:revision",
            ),
        ),
    )


@contextlib.contextmanager
def _stop_after(batches: int) -> Iterator[None]:
    """Stop the stages after so many batches of answers were written, in the middle of the next line."""
    left, append = [batches], generate_stage.append

    def cut(path: Path, text: str) -> None:
        if not left[0]:
            append(path, text[: len(text) // 2])
            raise Stopped
        left[0] -= 1
        append(path, text)

    with mock.patch.object(generate_stage, "append", cut):
        yield


def _bytes(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.name in KEPT}
