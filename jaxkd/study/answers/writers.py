"""Writers of the answers of a `Generate` stage: a checkpoint, a chat, or a file of recorded answers."""

import abc
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import jax

from jaxkd.data.examples import Example, subset
from jaxkd.data.text import json_rows
from jaxkd.data.text.packed_text import PackedText
from jaxkd.evals.judges.chat import Chat
from jaxkd.models.checkpoints.language_model import language_model
from jaxkd.models.checkpoints.pretrained import Pretrained
from jaxkd.runtime.packages import file_sha256
from jaxkd.sampling import Sampling, generate
from jaxkd.typing import Split


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecordedAnswers:
    """Answers from a file, whoever wrote them: `{"key": "...", "text": "..."}` per line, with the keys of the data."""

    path: str
    """Path of the file; it must have an answer for each key of the split."""

    def texts(self) -> dict[str, str]:
        """Return the answers by key.

        Raises:
            FileNotFoundError: no such file.
            ValueError: malformed rows, no rows, or two answers to one key.
        """
        path = self._file()
        texts: dict[str, str] = {}
        for key, text in json_rows.read(path, _recorded):
            if key in texts:
                raise ValueError(f"{path} must have one answer to each key, got two to {key!r}. Remove one.")
            texts[key] = text
        return texts

    def input_hashes(self, split: Split) -> dict[str, str]:
        """Return the hash of the file."""
        del split
        return {"path": file_sha256(self._file())}

    def provenance(self) -> str:
        """Return one line for a result: the file and the beginning of its hash."""
        return f"recorded in {self.path}, sha256 {file_sha256(self._file())[:8]}"

    def _file(self) -> Path:
        path = Path(self.path).expanduser()
        if not path.is_file():
            raise FileNotFoundError(
                f"RecordedAnswers.path must name an existing file, got {self.path!r} ({path.absolute()})."
            )
        return path


def _recorded(row: json_rows.JsonRow, key: str) -> tuple[str, str]:
    del key
    found, text = (json_rows.text(row.get(name), f'"{name}"') for name in ("key", "text"))
    return found, text


@dataclasses.dataclass(frozen=True, kw_only=True)
class Written:
    """One answer."""

    text: str
    tokens: int | None = None
    """Number of its tokens; None if they are not known."""
    finish: str | None = None
    """Name of the `Finish` for which it ended; None if it is not known."""


class Writer(abc.ABC):
    """Writer of the answers to some examples, in an order of its own."""

    examples: Sequence[Example]
    """Examples in the order in which they are answered."""

    @abc.abstractmethod
    def __call__(self, places: range) -> list[Written]:
        """Return the answers to some examples, by their places in that order."""


class CheckpointWriter(Writer):
    """A checkpoint on the ambient mesh.  Prompts of similar length run together, so that little of a batch is padding.

    Raises:
        ValueError: a conversation that does not fit, before the weights are read.
    """

    def __init__(
        self,
        checkpoint: Pretrained,
        data: PackedText,
        split: Split,
        *,
        max_new_tokens: int,
        sampling: Sampling,
        seed: int,
        rows: int,
    ) -> None:
        self._max_new_tokens, self._sampling, self._seed, self._rows = max_new_tokens, sampling, seed, rows
        self._prompts = sorted(data.prompts(split, checkpoint.tokenizer()), key=lambda one: one.prompt_length)
        examples = {example.key: example for example in data.source.examples(split)}
        self.examples = [examples[one.key] for one in self._prompts]
        self._model = language_model(checkpoint)

    def __call__(self, places: range) -> list[Written]:
        batch = [self._prompts[place] for place in places]
        texts = generate(
            self._model,
            [one.tokens[: one.prompt_length].tolist() for one in batch],
            max_new_tokens=self._max_new_tokens,
            sampling=self._sampling,
            key=jax.random.key(self._seed),
            example_ids=[one.index for one in batch],
            rows=self._rows,
        )
        return [Written(text=one.text, tokens=len(one.tokens), finish=one.finish.name) for one in texts]


class ChatWriter(Writer):
    """A chat: a model behind a URL, or a program.  A batch that fails is requested again, except from a `RecordedChat`.

    Raises:
        ValueError: another number of replies than of conversations.
    """

    def __init__(self, chat: Chat, data: PackedText, split: Split, *, max_new_tokens: int, temperature: float) -> None:
        self._chat, self._max_new_tokens, self._temperature = chat, max_new_tokens, temperature
        self.examples = subset(data.source.examples(split), data.limit)

    def __call__(self, places: range) -> list[Written]:
        conversations = [self.examples[place].messages for place in places]
        replies = self._chat(conversations, max_new_tokens=self._max_new_tokens, temperature=self._temperature)
        if len(replies) != len(conversations):
            raise ValueError(
                f"{type(self._chat).__name__} must return one reply per conversation, got {len(replies)} to "
                f"{len(conversations)}."
            )
        return [Written(text=reply) for reply in replies]


class RecordedWriter(Writer):
    """A file of recorded answers.

    Raises:
        ValueError: examples without an answer.
    """

    def __init__(self, answers: RecordedAnswers, data: PackedText, split: Split) -> None:
        self.examples, self._texts = subset(data.source.examples(split), data.limit), answers.texts()
        missing = [example.key for example in self.examples if example.key not in self._texts]
        if missing:
            raise ValueError(
                f"{answers.path} must have an answer to each of the {len(self.examples)} keys of the {split} split, "
                f"got none to {len(missing)}, such as {missing[0]!r}. Add them."
            )

    def __call__(self, places: range) -> list[Written]:
        return [Written(text=self._texts[self.examples[place].key]) for place in places]
