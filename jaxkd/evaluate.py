"""`python -m jaxkd.evaluate`: evaluate the model of a run, or any checkpoint."""

import dataclasses
import sys
from pathlib import Path
from typing import Literal

import jax

from jaxkd.models.checkpoints.language_model import LanguageModel, language_model
from jaxkd.models.checkpoints.pretrained import Pretrained
from jaxkd.report.cells import metric_name
from jaxkd.runtime.storage.files import write_json
from jaxkd.sharding import mesh as meshes
from jaxkd.training.evaluator import Evaluation, Evaluator


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """Evaluate the model of a training run again, or any checkpoint.

    Give either --run or --model.
    """

    run: Path | None = None
    """Folder of a training run, whose own evaluators are used."""
    model: str | None = None
    """Packaged model, GGUF file, Hugging Face folder or hub id."""
    layers: tuple[int, ...] | None = None
    """Layers of --model to keep; all by default."""
    data: Path | None = None
    """JSONL with `prompt` and `response`, or `messages`, in place of the standard library's functions."""
    limit: int | None = 256
    """Number of rows to score with --model, chosen by a hash of their names; None scores all."""
    length: int = 512
    """Tokens of a row with --model, prompt and answer; longer ones are left out, and counted."""
    targets: int = 256
    """Answer tokens of a row with --model; longer answers are left out, and counted."""
    template: Literal["chat", "plain"] | None = None
    """Rendering of prompts with --model; by default chat for a model that has a chat template."""
    output: Path | None = None
    """File to which the evaluations are written as JSON."""


def main(arguments: list[str] | None = None) -> None:
    """Evaluate, print the metrics, and write them to --output."""
    import tyro

    from jaxkd.runtime.program import run_program

    command = tyro.cli(Command, args=arguments, prog="python -m jaxkd.evaluate")
    run_program(lambda: _evaluate(command))


def _evaluate(command: Command) -> None:
    from jaxkd.study import runs

    if (command.run is None) == (command.model is None):
        raise ValueError("one of --run and --model must be given, got both or none.")
    train = None if command.run is None else runs.read_train(command.run)
    if train is not None and train.precision == "float64":
        jax.config.update("jax_enable_x64", True)
    with jax.set_mesh(meshes.make(meshes.MeshShape(data=1))):
        if train is not None and command.run is not None:
            evaluators, model = train.evaluators, runs.model(command.run)
        else:
            model = language_model(Pretrained(path=command.model or "", layers=command.layers))
            evaluators = (_bits_per_byte(command, model),)
        results: dict[str, Evaluation] = {one.name: one(model) for one in evaluators}
    for name, result in results.items():
        for metric, value in result.metrics.items():
            sys.stdout.write(f"{metric_name(name, metric)}  {value:.6g}\n")
    if command.output is not None:
        write_json(command.output, {name: dataclasses.asdict(result) for name, result in results.items()})


def _bits_per_byte(command: Command, model: LanguageModel) -> Evaluator:
    from jaxkd.data.text.jsonl import Jsonl
    from jaxkd.data.text.standard_library import StandardLibrary
    from jaxkd.evals.language.bits_per_byte import BitsPerByte
    from jaxkd.study import prompt_style

    source = StandardLibrary() if command.data is None else Jsonl(test=str(command.data))
    template = command.template or prompt_style.of_model(model).template
    evaluator = BitsPerByte(
        source=source,
        split="test",
        limit=command.limit,
        length=command.length,
        targets=command.targets,
        template=template,
    )
    rows, (_, report) = len(source.examples("test")), evaluator.tokenized(model)
    reasons = {
        f"beyond the {command.limit} of --limit": rows - report.examples,
        f"longer than {report.max_length} tokens (--length) or {report.max_response} of the answer (--targets)": (
            report.overlong
        ),
        "without an answer": report.empty,
    }
    left_out = "; ".join(f"{count:,} {reason}" for reason, count in reasons.items() if count) or "none"
    sys.stdout.write(f"kept {report.kept:,} of {rows:,} rows ({template}), left out: {left_out}\n")
    return evaluator


if __name__ == "__main__":
    main()
