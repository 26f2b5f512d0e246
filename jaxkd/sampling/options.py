"""How the next token is chosen."""

import dataclasses
import math


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sampling:
    """From the model's logits to the distribution that a token is drawn from; by default, the most probable token.

    What is set applies in the order of the fields below, each to what the one before left.  Temperature 0 takes
    the most probable token after the first two and has no use for the others.

    Hashable: a compiled sampler is one for one `Sampling`.

    Raises:
        ValueError: a value outside its range.

    Example:
        >>> Sampling(temperature=0.7, top_p=0.9)
        Sampling(repetition_penalty=None, no_repeat_ngram=None, temperature=0.7, top_k=None, top_p=0.9, min_p=None)
    """

    repetition_penalty: float | None = None
    """Divides the positive logits of tokens that prompt or text already hold, and multiplies their negative ones."""
    no_repeat_ngram: int | None = None
    """No sequence of this many tokens appears twice in prompt and text."""
    temperature: float = 0.0
    """Divides the logits; 0 takes the most probable token."""
    top_k: int | None = None
    """Only this many of the most probable tokens stay."""
    top_p: float | None = None
    """Only the fewest tokens stay that together have this probability."""
    min_p: float | None = None
    """Only tokens stay that have this share of the most probable one's probability."""

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
"""The most probable token, always."""
