"""By what figure the models of a study are compared."""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class Headline:
    """A figure by which models are ranked; lower is better."""

    metric: str
    """Name of the evaluator, and of its metric."""
    title: str
    """Of the picture."""
    unit: str
    """In table columns and on axes."""
    examples: str = "examples"
    """What the evaluator has one key for, in the plural."""


BITS_PER_BYTE = Headline(
    metric="bits_per_byte", title="Bits per byte of the answers", unit="bits per byte", examples="answers"
)
"""Of language models, whatever their vocabularies."""

ROLLOUT_ERROR = Headline(
    metric="rollout_error", title="Error of forecasts of held-out records", unit="error / spread", examples="records"
)
"""Of models of dynamics: a share of the spread of the data."""
