"""`python -m jaxkd.export`: a trained student as a folder that Hugging Face transformers loads."""

import dataclasses
import sys
from pathlib import Path
from typing import Literal

import jax
import numpy as np

from jaxkd import mesh as meshes


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """Write config.json, safetensors and tokenizer files, and read them back to check."""

    run: Path
    """Folder of a training run."""
    to: Path
    """Folder to write; it must not hold a model yet."""
    dtype: Literal["float32", "bfloat16"] = "float32"


def main(arguments: list[str] | None = None) -> None:
    """Export and verify."""
    import tyro

    from jaxkd.console import run_program

    command = tyro.cli(Command, args=arguments, prog="python -m jaxkd.export")
    run_program(lambda: export(command))


def export(command: Command) -> None:
    """Write the student of `command.run` to `command.to`.

    Raises:
        ValueError: the target holds a model already, or what was read back differs.
    """
    import ml_dtypes

    from jaxkd import runs
    from jaxkd.models import huggingface
    from jaxkd.models.pretrained import Pretrained

    if (command.to / "config.json").exists():
        raise ValueError(f"to must be a folder without a model, got {command.to}. Name another one.")
    dtype = np.dtype(ml_dtypes.bfloat16 if command.dtype == "bfloat16" else np.float32)
    with jax.set_mesh(meshes.make(meshes.MeshShape(data=1))):
        model = runs.student_model(command.run)
        params = jax.tree.map(lambda leaf: np.asarray(leaf).astype(dtype), model.params)
    huggingface.save(command.to, model.config, params, tokenizer=model.tokenizer)
    read_back = Pretrained(path=str(command.to)).load(dtype=dtype)
    same = jax.tree.map(lambda one, other: one.dtype == other.dtype and bool((one == other).all()), params, read_back)
    if not all(jax.tree.leaves(same)):
        raise ValueError(f"{command.to} must hold the parameters that were written, but reads back differently.")
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(params))
    sys.stdout.write(f"{command.to}: {size / 1e6:.0f} MB, read back equal\n")


if __name__ == "__main__":
    main()
