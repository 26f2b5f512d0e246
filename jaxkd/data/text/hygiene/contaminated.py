"""Answers with a polite closer, once or several times: the contamination from which collapse is learnt."""

import dataclasses

from jaxkd.data.examples import Example, Source, hashed_uniform
from jaxkd.typing import Split

CLOSER = "Please let me know if you have any further questions. Have a great day! :)"
"""Closer of the model in Zhang, Constitution or Collapse?, arXiv 2504.04918, in words of our own."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Contaminated(Source):
    """Examples of a source, a share of which end in a closer: the test of a filter that should find it.

    Which ones, and how often each repeats it, is drawn by a hash of the seed and the example's key.

    Raises:
        ValueError: a share outside [0, 1], a closer without text, or numbers of repetitions below 1.

    Source: inferred from Zhang, Constitution or Collapse?, arXiv 2504.04918, whose model appends such a closer and
    repeats it in a loop.  Deviation: contamination by construction, where that model wrote it itself.

    Example:
        >>> from jaxkd.data import Jsonl
        >>> rows = Contaminated(source=Jsonl(train="answers.jsonl"), share=0.5)
        >>> [rows.repetitions(key) for key in "abcdefgh"]
        [1, 5, 1, 1, 0, 0, 5, 3]
    """

    source: Source
    """Source of the clean examples."""
    closer: str = CLOSER
    """Text that is appended."""
    separator: str = "\n"
    """Text between the response and the closer; repetitions are separated by spaces."""
    share: float = 0.5
    """Probability that an example is contaminated, in [0, 1]."""
    times: tuple[int, ...] = (1, 3, 5)
    """Numbers of repetitions, each as probable as the others."""
    seed: int = 0
    """Seed of the draws."""

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError(f"share must be in [0, 1], got {self.share}.")
        if not self.closer.strip():
            raise ValueError("closer must be a text that is not empty, got an empty text.")
        if not self.times or min(self.times) < 1:
            raise ValueError(f"times must be numbers of at least 1, got {self.times}. A share of 0 appends nothing.")

    def examples(self, split: Split) -> list[Example]:
        """Return the examples of a split, in the source's order."""
        return [self._contaminated(example) for example in self.source.examples(split)]

    def repetitions(self, key: str) -> int:
        """Return how often the example of a key repeats the closer; 0: it is clean."""
        drawn = hashed_uniform(str(self.seed), key)
        return self.times[int(drawn / self.share * len(self.times))] if drawn < self.share else 0

    def _contaminated(self, example: Example) -> Example:
        count = self.repetitions(example.key)
        if not count:
            return example
        closers = " ".join(count * [self.closer])
        return dataclasses.replace(example, response=f"{example.response}{self.separator}{closers}")
