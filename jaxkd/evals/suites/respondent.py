"""Interface of what answers the questions of a suite."""

import abc
import dataclasses
from collections.abc import Sequence
from pathlib import Path

from jaxkd.evals.suites.suite import Sampled


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prompt:
    """Question as it is put to a model."""

    text: str
    images: tuple[Path, ...] = ()
    """Files of images that belong to it; none for a model that takes none."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reply:
    """Text that answers a prompt."""

    text: str
    ended: bool = True
    """Whether it ended by itself, and not at `max_new_tokens`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Compared:
    """A prompt and the continuations whose log-likelihoods are compared."""

    prompt: Prompt
    separator: str
    continuations: tuple[str, ...]


class Respondent(abc.ABC):
    """Model that answers the questions of suites; subclass it to evaluate anything else."""

    accepts_images: bool = False
    """Whether rows with images can be asked; otherwise they are skipped, and counted."""

    @abc.abstractmethod
    def provenance(self) -> str:
        """Identity of the model and of how it is prompted; replies are kept under it."""

    @abc.abstractmethod
    def prompt_tokens(self, prompts: Sequence[Prompt]) -> list[int]:
        """Number of tokens of each prompt as the model sees it."""

    @abc.abstractmethod
    def max_prompt_tokens(self, new_tokens: int) -> int:
        """Number of tokens that a prompt may have beside `new_tokens` new ones."""

    @abc.abstractmethod
    def replies(self, prompts: Sequence[Prompt], sampled: Sampled, *, seed: int, ids: Sequence[int]) -> list[Reply]:
        """Reply to each prompt, in order.

        Args:
            prompts: prompts, all with the same settings.
            sampled: settings of the generation.
            seed: random seed of the samples.
            ids: number of each prompt, on which its samples depend.
        """

    @abc.abstractmethod
    def log_likelihoods(self, questions: Sequence[Compared]) -> list[tuple[float, ...]]:
        """Log-likelihood of each continuation of each question, in nats."""
