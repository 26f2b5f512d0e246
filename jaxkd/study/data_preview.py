"""Data of a study, read before anything trains."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jaxkd.data.examples import Example, Messages, Source
from jaxkd.data.images import ImageSource, require_disjoint_groups
from jaxkd.data.preferences.examples import Preference, PreferenceSource
from jaxkd.data.preferences.text import PreferenceText
from jaxkd.data.text.chat import Tokenized
from jaxkd.training.stage import Stage, refers_to_stage
from jaxkd.training.train_config import TrainConfig
from jaxkd.typing import Split

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

ROWS = 3
"""Number of examples that a preview shows."""


def require_sources(stages: Sequence[Stage]) -> None:
    """Read the examples of every split that the stages use, so that a bad file is noticed before anything trains.

    Sources of images check all of their splits.  Answers that an earlier stage of the study will write are left out.

    Raises:
        ValueError: a file or a row that cannot be used, one group of images in two splits, no images in a split that
            a stage uses, or an answer on which a stage both keeps its best step and is tested.
        FileNotFoundError: a file that does not exist.
    """
    used = dict.fromkeys(used for stage in stages for used in _sources(stage, "train"))
    for images in dict.fromkeys(source for source, _ in used if isinstance(source, ImageSource)):
        images.validate()
        require_disjoint_groups(images)
    examples: dict[tuple[Any, Split], Sequence[Example | Preference]] = {}
    for source, split in used:
        if not isinstance(source, ImageSource):
            examples[source, split] = read(source, split)
        elif not len(source.examples(split)):
            raise ValueError(
                f"{type(source).__name__} must have images in its {split} split, which a stage uses, got none. Add "
                "images, or use another split."
            )
    for stage in stages:
        if isinstance(stage, TrainConfig) and stage.keep_best is not None:
            _require_separate_test(stage, examples)


def _require_separate_test(
    stage: TrainConfig, examples: Mapping[tuple[Any, Split], Sequence[Example | Preference]]
) -> None:
    """Refuse a stage whose best step is chosen on an answer that it is tested on."""
    keys: dict[Split, dict[tuple[Messages, str], str]] = {"validation": {}, "test": {}}
    for source, split in _sources(stage, "train"):
        for one in examples.get((source, split), ()) if split in keys else ():
            if isinstance(one, Example) and one.response:
                keys[split][one.messages, one.response] = one.key
    shared = [answer for answer in keys["test"] if answer in keys["validation"]]
    if shared:
        raise ValueError(
            f"validation and test must share no answer to the same prompt with keep_best, got {len(shared)}, such as "
            f"{keys['validation'][shared[0]]!r} and {keys['test'][shared[0]]!r}. Remove them from one of the splits: "
            "the step that is best on them would be tested on them again."
        )


def read(source: Source | PreferenceSource, split: Split) -> Sequence[Example | Preference]:
    """Return the examples of a split, or its pairs of answers: both have the messages of a prompt."""
    return source.pairs(split) if isinstance(source, PreferenceSource) else source.examples(split)


def preview(stage: Stage) -> str:
    """Return the first training examples of a stage as its student reads them, with the targets in brackets.

    Empty for a stage that trains no language model, or on answers of an earlier stage.
    """
    recipe = getattr(stage, "recipe", None)
    text, student = next(texts(recipe), None), getattr(recipe, "student", None)
    if text is None or student is None or refers_to_stage(text.source):
        return ""
    tokenizer = student.tokenizer()
    found = text.tokenized("train", tokenizer)
    if isinstance(text, PreferenceText):
        shown = [
            (f"{number} {side}", getattr(pair, side))
            for number, pair in enumerate(found[:ROWS], start=1)
            for side in ("chosen", "rejected")
        ]
    else:
        shown = [(str(number), example) for number, example in enumerate(found[:ROWS], start=1)]
    return "\n".join(f"example {name}: {_rendered(example, tokenizer)}" for name, example in shown)


def texts(config: object) -> Iterator[Any]:
    """Yield the configs of text within a config, the student's first."""
    if isinstance(config, tuple):
        for item in config:
            yield from texts(item)
    elif dataclasses.is_dataclass(config):
        if hasattr(config, "source") and hasattr(config, "template"):
            yield config
        for field in dataclasses.fields(config):
            yield from texts(getattr(config, field.name))


def _sources(config: Any, split: Split) -> Iterator[tuple[Source | PreferenceSource | ImageSource, Split]]:
    """Yield the sources within a config, each with the split of the nearest config around it that names one."""
    if isinstance(config, Source | PreferenceSource | ImageSource):
        if not refers_to_stage(config):
            yield config, split
    elif isinstance(config, tuple):
        for item in config:
            yield from _sources(item, split)
    elif dataclasses.is_dataclass(config):
        nearest: Split = getattr(config, "split", split)
        for field in dataclasses.fields(config):
            yield from _sources(getattr(config, field.name), nearest)


def _rendered(example: Tokenized, tokenizer: "PreTrainedTokenizerBase") -> str:
    """Return an example's tokens as one line of text, its targets in brackets."""
    prompt, response = (
        tokenizer.decode(ids.tolist())
        for ids in (example.tokens[: example.prompt_length], example.tokens[example.prompt_length :])
    )
    return f"{prompt}[[{response}]]".replace("\n", "\\n")
