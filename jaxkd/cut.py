"""`python -m jaxkd.cut`: a smaller model out of a larger one, as a Hugging Face folder."""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import jax
import numpy as np

from jaxkd.models.checkpoints.language_model import LanguageModel
from jaxkd.models.surgery import (
    Importance,
    Initialization,
    PrunedTokenizer,
    Statistic,
    TokenizerKind,
    prune_tokenizer,
    train_tokenizer,
)
from jaxkd.runtime.storage.files import write_json
from jaxkd.sharding import mesh as meshes
from jaxkd.typing import Split

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from jaxkd.data import Example, Source

CALIBRATION_LENGTH = 512
"""Tokens per row of the text on which importance is measured."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """Cut a model to fewer or narrower layers, fewer tokens, or give it another tokenizer.

    The least important parts on some text are removed; the result is a student to train, not a model to use.  A model
    that loses only tokens which some text does not use stays as good on that text.
    """

    model: str
    """Packaged model, GGUF file, Hugging Face folder or hub id."""
    to: Path
    """Folder to write; it must not exist, or be empty."""
    layers: tuple[int, ...] | None = None
    """Layers to keep, in this order."""
    depth: int | None = None
    """Number of layers to keep, evenly spaced, in place of --layers."""
    heads: int | None = None
    """Query heads to keep in each layer; a multiple of those that share a key/value head."""
    mlp_width: int | None = None
    """Feed-forward units to keep in each layer."""
    width: int | None = None
    """Channels of the hidden states to keep."""
    statistic: Statistic = "root_mean_square"
    """Importance of a head, unit or channel: its mean absolute, or root mean square, activation."""
    data: Path | None = None
    """JSONL with `prompt` and `response`, or `messages`, on which importance is measured and tokens are counted, in
    place of the standard library's functions."""
    template: Literal["chat", "plain"] = "chat"
    limit: int = 32
    """Examples on which importance is measured, chosen by a hash of their keys."""
    tokens: Literal["all", "used"] | TokenizerKind = "all"
    """Tokens to keep: all, or those into which the whole data is read, those that build them, bytes and control
    tokens; or a new tokenizer, trained on the training data."""
    tokenizer: str | None = None
    """Model whose tokenizer the student gets: a path like --model."""
    vocabulary_size: int | None = None
    """Number of tokens of a tokenizer that is trained."""
    initialization: Initialization = "pieces"
    """Embeddings of tokens that the old tokenizer lacks: the mean of the old tokens that spell them, the mean
    of all, or random."""
    rows: int | None = None
    """Rows of the new embedding, if it should have more than there are tokens."""
    seed: int = 0
    """Seed of random embeddings."""
    dtype: Literal["float32", "bfloat16"] = "float32"


def main(arguments: list[str] | None = None) -> None:
    """Cut and write."""
    import tyro

    from jaxkd.runtime.program import run_program

    command = tyro.cli(Command, args=arguments, prog="python -m jaxkd.cut")
    run_program(lambda: cut(command))


def cut(command: Command) -> None:
    """Write the student of `command.model` to `command.to`, with a record of its origin in `cut.json`.

    Raises:
        ValueError: sizes that the model cannot be cut to, an architecture that transformers does not
            have (GPT-2 must keep heads times head_dim equal to its width), or a folder with contents.
    """
    import ml_dtypes

    from jaxkd.models import surgery
    from jaxkd.models.checkpoints import huggingface
    from jaxkd.models.checkpoints.config import family
    from jaxkd.models.checkpoints.pretrained import Pretrained
    from jaxkd.models.transformer import decoder

    if command.layers is not None and command.depth is not None:
        raise ValueError("at most one of --layers and --depth must be given, got both.")
    if command.tokens != "all" and command.tokenizer is not None:
        raise ValueError(f"at most one of --tokens {command.tokens} and --tokenizer must be given, got both.")
    if (command.vocabulary_size is None) == (command.tokens in get_args(TokenizerKind)):
        raise ValueError(
            "vocabulary_size must be given with a tokenizer that is trained, and only then, got "
            f"{command.vocabulary_size} with --tokens {command.tokens}."
        )
    if command.to.exists() and any(command.to.iterdir()):
        raise ValueError(f"to must be a new or an empty folder, got {command.to}. Name another one.")
    model = Pretrained(path=command.model)
    config, tokenizer = model.config(), model.tokenizer()
    before = decoder.parameter_count(config)
    layers = tuple(range(config.depth)) if command.layers is None else command.layers
    if command.depth is not None:
        layers = surgery.evenly_spaced(config.depth, command.depth)
    surgery.check_layers(config, layers)
    sizes = {"heads": command.heads, "mlp_width": command.mlp_width, "width": command.width}
    # Reject before minutes are spent on weights.
    family(surgery.narrow_config(config, **sizes).with_layers(layers))
    pruned = _pruned(command, tokenizer, config.vocab_size) if command.tokens == "used" else None
    new_tokenizer = _new_tokenizer(command)
    params = model.load()
    if any(size is not None for size in sizes.values()):
        importance = _importance(command, LanguageModel(config=config, params=params, tokenizer=tokenizer))
        kept = surgery.most_important(config, importance, **sizes)
        config, params = surgery.prune_width(config, params, kept)
    config, params = surgery.keep_layers(config, params, layers)
    if pruned is not None:
        tokenizer = pruned.tokenizer
        config, params = surgery.keep_rows(config, params, pruned.ids, rows=command.rows)
    if new_tokenizer is not None:
        old, tokenizer = tokenizer, new_tokenizer
        sources = surgery.row_sources(old, tokenizer, old_size=config.vocab_size, rows=command.rows)
        sys.stdout.write(f"{sources}\n")
        config, params = surgery.swap_rows(
            config, params, sources, initialization=command.initialization, key=jax.random.key(command.seed)
        )
    dtype = np.dtype(ml_dtypes.bfloat16 if command.dtype == "bfloat16" else np.float32)
    huggingface.save(command.to, config, params, dtype=dtype, tokenizer=tokenizer)
    options = {name: str(value) if isinstance(value, Path) else value for name, value in vars(command).items()}
    record = {"source": model.provenance(), **options}
    write_json(command.to / "cut.json", record)
    after = decoder.parameter_count(config)
    sys.stdout.write(f"{command.to}: {after / 1e6:,.1f} M parameters of {before / 1e6:,.1f} M\n")


def used_tokens(
    examples: "Sequence[Example]", tokenizer: "PreTrainedTokenizerBase", template: Literal["chat", "plain"] = "chat"
) -> list[int]:
    """Return the tokens into which examples of any length are read, in ascending order, for `prune_tokenizer`.

    Raises:
        TypeError: as `jaxkd.data.text.chat.tokenize`.
        ValueError: as `jaxkd.data.text.chat.tokenize`.
    """
    from jaxkd.data.text import chat

    read, _ = chat.tokenize(examples, tokenizer, max_length=sys.maxsize, max_response=sys.maxsize, template=template)
    return np.unique(np.concatenate([one.tokens for one in read])).tolist()


def _pruned(command: Command, tokenizer: "PreTrainedTokenizerBase", size: int) -> PrunedTokenizer:
    """Return the tokenizer of the tokens that the command's text uses, in all its splits."""
    source = _source(command)
    splits: tuple[Split, ...] = ("train", "validation", "test") if command.data is None else ("train",)
    examples = [example for split in splits for example in source.examples(split)]
    pruned = prune_tokenizer(tokenizer, used_tokens(examples, tokenizer, command.template), size=size)
    sys.stdout.write(f"{pruned}\n")
    return pruned


def _new_tokenizer(command: Command) -> "PreTrainedTokenizerBase | None":
    """Return the tokenizer of the command's other model, or the one to be trained; None: the model keeps its own."""
    from jaxkd.models.checkpoints.pretrained import Pretrained

    if command.tokenizer is not None:
        return Pretrained(path=command.tokenizer).tokenizer()
    match command.tokens, command.vocabulary_size:
        case "byte_level" | "sentencepiece" as kind, int(size):
            examples = _source(command).examples("train")
            texts = [text for one in examples for text in (*(text for _, text in one.messages), one.response)]
            return train_tokenizer(texts, kind=kind, size=size)
        case _:
            return None


def _source(command: Command) -> "Source":
    """Return the command's text."""
    from jaxkd.data.text.jsonl import Jsonl
    from jaxkd.data.text.standard_library import StandardLibrary

    return StandardLibrary() if command.data is None else Jsonl(train=str(command.data))


def _importance(command: Command, model: LanguageModel) -> Importance:
    """Measure the importance of the model's parts on the command's text."""
    from jaxkd.data.text.packed_text import PackedText
    from jaxkd.distillation import forward
    from jaxkd.models.surgery import activation_importance

    length = min(CALIBRATION_LENGTH, model.config.max_positions)
    text = PackedText(
        source=_source(command),
        rows=4,
        length=length,
        targets=length,
        limit=command.limit,
        template=command.template,
        overlong="truncate",
    )
    with jax.set_mesh(meshes.make(meshes.MeshShape(data=1))):
        return activation_importance(
            model.config,
            forward.shard_params(model.config, model.params),
            text.each_once("train", model.tokenizer),
            statistic=command.statistic,
        )


if __name__ == "__main__":
    main()
