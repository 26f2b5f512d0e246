"""Options for the choice of the next token."""

import dataclasses
import math


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sampling:
    """Options that turn the model's logits into a distribution; by default, the most probable token.

    Options apply in the order of the fields below, each to the result of the one before.  Temperature 0 takes the
    most probable token after the first two and ignores the others.

    Hashable: a sampler is compiled once per `Sampling`.

    Raises:
        ValueError: a value outside its range.

    Example:
        >>> Sampling(temperature=0.7, top_p=0.9)
        Sampling(repetition_penalty=None, no_repeat_ngram=None, temperature=0.7, top_k=None, top_p=0.9, min_p=None)
    """

    repetition_penalty: float | None = None
    """Divisor of the positive logits of tokens in prompt or text, and factor of their negative logits."""
    no_repeat_ngram: int | None = None
    """Length of the token sequences that must not appear twice in prompt and text."""
    temperature: float = 0.0
    """Divisor of the logits; 0 takes the most probable token."""
    top_k: int | None = None
    """Number of most probable tokens that stay."""
    top_p: float | None = None
    """Probability that the tokens that stay reach together, as few as possible."""
    min_p: float | None = None
    """Least probability of tokens that stay, as a share of the most probable one's."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise ValueError(
                f"temperature must be at least 0 and finite, got {self.temperature}. 0 takes the most probable token."
            )
        if self.repetition_penalty is not None and not (
            math.isfinite(self.repetition_penalty) and self.repetition_penalty > 0
        ):
            raise ValueError(
                f"repetition_penalty must be above 0 and finite, got {self.repetition_penalty}. "
                "Above 1 discourages repetition; None leaves it alone."
            )
        for name in ("no_repeat_ngram", "top_k"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}. None switches it off.")
        for name in ("top_p", "min_p"):
            value = getattr(self, name)
            if value is not None and not 0 < value <= 1:
                raise ValueError(f"{name} must be above 0 and at most 1, got {value}. None switches it off.")


GREEDY = Sampling()
"""Sampling that always takes the most probable token."""
