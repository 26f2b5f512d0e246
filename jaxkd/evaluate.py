"""`python -m jaxkd.evaluate`: evaluate the model of a run, or any checkpoint."""

import dataclasses
import shlex
import sys
from pathlib import Path
from typing import Literal

import jax

from jaxkd.models.checkpoints.language_model import LanguageModel
from jaxkd.report.cells import metric_name
from jaxkd.runtime.storage.files import write_json
from jaxkd.sharding import mesh as meshes
from jaxkd.training.evaluator import Evaluator
from jaxkd.training.results.evaluation import Evaluation


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """Evaluate a model: a run's again, by its own evaluators, or any by bits per byte, a suite of questions or images.

    Give either --run or --model.
    """

    run: Path | None = None
    """Folder of a training run, whose own evaluators are used."""
    model: str | None = None
    """Packaged model, GGUF file, Hugging Face folder, hub id, or folder of a training run."""
    layers: tuple[int, ...] | None = None
    """Layers of --model to keep; all by default."""
    suite: str | None = None
    """Suite to ask --model: a folder with suite.yaml, or `transport`."""
    rows_per_task: int | None = None
    """Number of rows of each task of --suite, chosen by a hash of their ids; all by default."""
    max_input_tokens: int | None = None
    """Tokens of a prompt of --suite; longer ones are skipped, and counted.  Default: those of the suite."""
    max_new_tokens: int | None = None
    """Tokens of a reply to --suite.  Default: those of the suite."""
    judge: str | None = None
    """Model that rates replies to --suite where it asks for judge4; with --judge-url its name there."""
    judge_url: str | None = None
    """OpenAI-compatible server of --judge, such as http://127.0.0.1:8000/v1; its key is read from OPENAI_API_KEY."""
    beside: tuple[Path, ...] = ()
    """Folders of finished evaluations of --suite, to compare --model with."""
    write_suite: Path | None = None
    """Folder to which --suite is written, if it is one by name; nothing is evaluated."""
    write_harness_tasks: Path | None = None
    """Folder to which --suite is written as tasks of lm-evaluation-harness; nothing is evaluated."""
    seed: int = 0
    """Random seed of the replies to --suite and of the intervals."""
    images: str | None = None
    """Images with masks on which --model, the folder of a run or of its export, is scored by Dice: a folder, or one of
    the packaged lesions, grey-matter, white-matter, nuclei."""
    size: int | None = None
    """Height and width of --images; by default 256, of packaged data their own."""
    data: Path | None = None
    """JSONL with `prompt` and `response`, or `messages`, in place of the standard library's functions."""
    limit: int | None = 256
    """Number of rows to score without --suite, chosen by a hash of their names; None scores all."""
    length: int = 512
    """Tokens of a row without --suite, prompt and answer; longer ones are left out, and counted."""
    targets: int = 256
    """Answer tokens of a row without --suite; longer answers are left out, and counted."""
    template: Literal["chat", "plain"] | None = None
    """Rendering of prompts with --model; by default chat for a model that has a chat template."""
    system: str | None = None
    """System message in front of each prompt of --suite."""
    output: Path | None = None
    """File to which the evaluations are written as JSON; with --suite, folder of answers, results and page."""


def main(arguments: list[str] | None = None) -> None:
    """Evaluate, print the metrics, and write them to --output."""
    import tyro

    from jaxkd.runtime.program import run_program

    command = tyro.cli(Command, args=arguments, prog="python -m jaxkd.evaluate")
    shown = shlex.join(["python", "-m", "jaxkd.evaluate", *(sys.argv[1:] if arguments is None else arguments)])
    run_program(lambda: _evaluate(command, shown))


def _evaluate(command: Command, shown: str) -> None:
    from jaxkd.harness.opened import open_model
    from jaxkd.study import runs

    if command.write_suite is not None:
        _write_suite(command, command.write_suite)
        return
    if command.write_harness_tasks is not None:
        _write_harness_tasks(command, command.write_harness_tasks)
        return
    if (command.run is None) == (command.model is None):
        raise ValueError("one of --run and --model must be given, got both or none.")
    if command.suite is not None:
        _ask(command, command.suite, shown)
        return
    if command.images is not None:
        _segment(command, command.images)
        return
    train = None if command.run is None else runs.read_train(command.run)
    if train is not None and train.double_precision:
        jax.config.update("jax_enable_x64", True)
    with jax.set_mesh(meshes.make(meshes.MeshShape(data=1))):
        if train is not None and command.run is not None:
            evaluators, model = train.evaluators, runs.model(command.run)
        else:
            model = open_model(command.model or "", layers=command.layers).model
            evaluators = (_bits_per_byte(command, model),)
        results: dict[str, Evaluation] = {one.name: one(model) for one in evaluators}
    _print(command, results)


def _print(command: Command, results: dict[str, Evaluation]) -> None:
    for name, result in results.items():
        for metric, value in result.metrics.items():
            sys.stdout.write(f"{metric_name(name, metric)}  {value:.6g}\n")
    if command.output is not None:
        write_json(command.output, {name: dataclasses.asdict(result) for name, result in results.items()})


def _segment(command: Command, images: str) -> None:
    from jaxkd.data.images.named import named_images
    from jaxkd.evals.vision import SegmentationScores
    from jaxkd.study import TrainedModel
    from jaxkd.vision import exported
    from jaxkd.vision.exported_network import ExportedNetwork

    if command.model is None:
        raise ValueError(
            "--model must name the network that --images are given to, got --run. It takes a run's folder."
        )
    exists = exported.is_exported(Path(command.model))
    source = ExportedNetwork(path=command.model) if exists else TrainedModel(run=command.model)
    source.validate()
    scores = SegmentationScores(data=named_images(images, side=command.size))
    scores.data.validate()
    with jax.set_mesh(meshes.make(meshes.MeshShape(data=1))):
        _print(command, {scores.name: scores(source.load_model())})


def _ask(command: Command, suite: str, shown: str) -> None:
    from jaxkd.evals.suites.named import named
    from jaxkd.harness.opened import open_model
    from jaxkd.harness.suite_evaluation import evaluate_suite, judge

    if command.model is None:
        raise ValueError("--model must name the model that answers --suite, got --run. It takes a run's folder too.")
    asked = named(suite).subset(command.rows_per_task)
    rating = judge(command.judge, command.judge_url, command.output)
    evaluate_suite(
        asked.with_lengths(max_input_tokens=command.max_input_tokens, max_new_tokens=command.max_new_tokens),
        open_model(command.model, layers=command.layers, template=command.template, system=command.system),
        output=command.output,
        judge=rating,
        seed=command.seed,
        beside=command.beside,
        command=shown,
    )


def _write_suite(command: Command, folder: Path) -> None:
    from jaxkd.evals.suites.named import build

    build(command.suite or "", folder)
    sys.stdout.write(f"{folder}\n")


def _write_harness_tasks(command: Command, folder: Path) -> None:
    from jaxkd.evals.suites.named import named
    from jaxkd.harness.export import export_suite

    if command.suite is None:
        raise ValueError("--suite must name the suite that is written as tasks, got none.")
    suite = named(command.suite)
    left_out = export_suite(suite.subset(command.rows_per_task), folder)
    for task, reason in left_out.items():
        sys.stdout.write(f"left out: {task} ({reason})\n")
    tasks = ",".join(f"{suite.name}_{task.id}" for task in suite.tasks if task.id not in left_out)
    sys.stdout.write(
        f"jaxkd-lm-eval run --model jaxkd --model_args path=MODEL --include_path {folder} --tasks {tasks}\n"
    )


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
