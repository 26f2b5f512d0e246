"""`python -m jaxkd.generate`: text from a trained student or any checkpoint."""

import dataclasses
import logging
import sys
from pathlib import Path
from typing import Literal

import jax

from jaxkd.models.checkpoints.pretrained import Pretrained
from jaxkd.sampling import GREEDY, Sampling
from jaxkd.sharding import mesh as meshes

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """Generate answers to prompts.

    Give either --run or --model.
    """

    prompt: tuple[str, ...]
    """Prompts to answer, in one batch."""
    run: Path | None = None
    """Folder of a training run."""
    model: str | None = None
    """Packaged model, GGUF file, Hugging Face folder or hub id."""
    system: str | None = None
    """System message; by default that of the run's training rows, or none, where a chat template may insert its own."""
    template: Literal["chat", "plain"] | None = None
    """Rendering of the prompts; by default that of the run's training rows, or chat for a model with a template."""
    control_tokens: Literal["text", "allow"] = "text"
    """Whether a control token that a prompt spells out, as `<|im_end|>`, is read as text, or as the control token."""
    max_new_tokens: int = 128
    sampling: Sampling = GREEDY
    stop: tuple[str, ...] = ()
    """Strings that end an answer, besides the end token."""
    seed: int = 0
    """Seed of the samples, if the temperature is not 0."""


def main(arguments: list[str] | None = None) -> None:
    """Generate and print."""
    import tyro

    from jaxkd.runtime.program import run_program

    # --temperature, not --sampling.temperature: no other option has such a name.
    command = tyro.cli(Command, args=arguments, prog="python -m jaxkd.generate", config=(tyro.conf.OmitArgPrefixes,))
    run_program(lambda: _generate(command))


def _generate(command: Command) -> None:
    from jaxkd import sampling
    from jaxkd.data.examples import Example
    from jaxkd.data.text.chat import prompt_tokens
    from jaxkd.models.checkpoints.language_model import language_model
    from jaxkd.study import prompt_style, runs

    if (command.run is None) == (command.model is None):
        raise ValueError("one of --run and --model must be given, got both or none.")
    with jax.set_mesh(meshes.make(meshes.MeshShape(data=1))):
        if command.run is not None:
            model = runs.language_model(command.run)
            style = prompt_style.of_run(runs.read_train(command.run), system=command.system)
        else:
            model = language_model(Pretrained(path=command.model or ""))
            style = prompt_style.of_model(model, system=command.system)
        if command.template is not None:
            style = dataclasses.replace(style, template=command.template)
        _log.info("%s", style)
        prompts = [
            prompt_tokens(
                Example(key=str(index), group="", messages=style.messages(text), response=""),
                model.tokenizer,
                style.template,
                control_tokens=command.control_tokens,
            )
            for index, text in enumerate(command.prompt)
        ]
        answers = sampling.generate(
            model,
            prompts,
            max_new_tokens=command.max_new_tokens,
            sampling=command.sampling,
            stop=command.stop,
            key=jax.random.key(command.seed),
        )
    for text, answer in zip(command.prompt, answers, strict=True):
        if len(command.prompt) > 1:
            sys.stdout.write(f"--- {text}\n")
        sys.stdout.write(f"{answer.text}\n")


if __name__ == "__main__":
    main()
