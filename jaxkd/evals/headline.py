"""Headline metrics by which the models of a study are compared."""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class Headline:
    """A metric by which models are ranked; lower is better."""

    metric: str
    """Name of the evaluator and of its metric."""
    title: str
    """Title of the plot."""
    unit: str
    """Unit in table columns and on axes."""
    examples: str = "examples"
    """Plural noun for the items that the evaluator has keys for."""


BITS_PER_BYTE = Headline(
    metric="bits_per_byte", title="Bits per byte of the answers", unit="bits per byte", examples="answers"
)
"""Headline of language models, with any vocabularies."""

ROLLOUT_ERROR = Headline(
    metric="rollout_error",
    title="Error of forecasts of held-out records",
    unit="error / standard deviation",
    examples="records",
)
"""Headline of models of dynamics, relative to the standard deviation of the data."""
