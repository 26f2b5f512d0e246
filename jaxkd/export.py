"""`python -m jaxkd.export`: a trained model as a folder, which transformers loads if it is a language model."""

import dataclasses
import sys
from pathlib import Path
from typing import Literal

import jax
import jax.numpy as jnp

from jaxkd.models.checkpoints import config as model_config
from jaxkd.models.checkpoints import huggingface, peft
from jaxkd.models.checkpoints.language_model import LanguageModel
from jaxkd.models.transformer import decoder, lora
from jaxkd.networks import quantized
from jaxkd.runtime.checkpoint import tree_bytes
from jaxkd.sharding import mesh as meshes
from jaxkd.vision import exported
from jaxkd.vision.network import NetworkModel
from jaxkd.vision.recipe import NetworkRecipe


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """Write a trained model, and read it back to check.

    A language model becomes config.json, safetensors and tokenizer files.  A network on images becomes network.json,
    safetensors, and logits.stablehlo, a function from images to logits that needs JAX alone.
    """

    run: Path
    """Folder of a training run."""
    to: Path
    """Folder to write; it must not hold a model yet."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    form: Literal["model", "adapter"] = "model"
    """Form of a student with adapters: one merged model, or a PEFT folder beside its checkpoint."""
    max_shard_gb: float = 5.0
    """Largest size of a weight file, in 1e9 bytes."""


def main(arguments: list[str] | None = None) -> None:
    """Export and verify."""
    import tyro

    from jaxkd.runtime.program import run_program

    command = tyro.cli(Command, args=arguments, prog="python -m jaxkd.export")
    run_program(lambda: export(command))


def export(command: Command) -> None:
    """Write the model of `command.run` to `command.to`.

    Raises:
        ValueError: the target already holds a model, a requested adapter has no base checkpoint, the run trained a
            model of a kind that is not exported, or what was read back differs.
    """
    from jaxkd.study import runs

    for name in ("config.json", "adapter_config.json", exported.CONFIG):
        if (command.to / name).exists():
            raise ValueError(f"to must be a folder without a model, got {command.to}. Name another one.")
    with jax.set_mesh(meshes.make(meshes.MeshShape(data=1))):
        # Adapters are merged into the checkpoint as it is stored, whatever the run rounded it to.
        model = runs.model(command.run, precision="float32")
        if isinstance(model, NetworkModel):
            written = _write_network(command, model)
        else:
            model = runs.require_language_model(model, command.run)
            written = _write_adapter(command, model) if command.form == "adapter" else _write_model(command, model)
    sys.stdout.write(f"{command.to}: {written}\n")


def _write_model(command: Command, model: LanguageModel) -> str:
    """Write one model, and return a description of what was written."""
    config, params, dtype = model.config, quantized.dense(model.params), jnp.dtype(command.dtype)
    if config.lora is not None:
        config, params = dataclasses.replace(config, lora=None), lora.merge(params, config.lora)
    huggingface.save(
        command.to,
        config,
        params,
        dtype=dtype,
        tokenizer=model.tokenizer,
        source=None if model.source is None else model.source.folder(),
        max_shard_bytes=int(command.max_shard_gb * 1e9),
    )
    read_back = huggingface.load_sharded(command.to, model_config.read(command.to), decoder.abstract(config, dtype))
    same = jax.tree.map(lambda one, other: bool((one.astype(dtype) == other).all()), params, read_back)
    if not all(jax.tree.leaves(same)):
        raise ValueError(f"{command.to} must hold the parameters that were written, but reads back differently.")
    return f"{tree_bytes(read_back) / 1e6:.0f} MB, read back equal"


def _write_network(command: Command, model: NetworkModel) -> str:
    """Write a network on images, and return a description of what was written."""
    from jaxkd.study import runs

    recipe = runs.read_train(command.run).recipe
    if not isinstance(recipe, NetworkRecipe):
        raise ValueError(f"run must be one of a recipe for networks on images, got {type(recipe).__name__}.")
    size = recipe.data.size
    exported.save(command.to, model, size=size)
    read_back = exported.load(command.to)
    same = jax.tree.map(lambda one, other: bool((one == other).all()), model, read_back)
    if not all(jax.tree.leaves(same)):
        raise ValueError(f"{command.to} must hold the arrays that were written, but reads back differently.")
    return f"{tree_bytes(read_back) / 1e6:.2f} MB for images of {size[0]} x {size[1]}, read back equal"


def _write_adapter(command: Command, model: LanguageModel) -> str:
    """Write an adapter, and return a description of what was written."""
    if model.config.lora is None:
        raise ValueError(f"form must be model for a student that was trained whole, got adapter for {command.run}.")
    if model.source is None or model.source.layers is not None:
        raise ValueError(
            f"form must be model for a student that was cut out of another model, got adapter for {command.run}: "
            "no checkpoint has those layers alone. Export it as a model, or train adapters on an exported cut."
        )
    _, adapters = lora.split(model.params)
    base = model.source.reference()
    peft.save(command.to, model.config, adapters, base=base, dtype=jnp.dtype(command.dtype))
    return f"an adapter of {(command.to / peft.WEIGHTS).stat().st_size / 1e6:.1f} MB beside {base}"


if __name__ == "__main__":
    main()
