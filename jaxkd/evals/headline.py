"""Headline metrics by which the models of a study are ranked and compared."""

import dataclasses
import math
from typing import Literal, get_args

from jaxkd.evals.detection_comparison import PrecisionMetric
from jaxkd.typing import Better


@dataclasses.dataclass(frozen=True, kw_only=True)
class Headline:
    """A metric by which models are ranked, and the columns of `Evaluation.per_example` that it is computed from.

    `metric = sum(numerator) / (unit_size * sum(denominator))`, or the root of that; with these columns, the difference
    between two models has a paired interval.  Average precision has one without columns, from `Evaluation.matches`.

    Raises:
        ValueError: another direction, a denominator without a numerator, or columns of an average precision.

    Example:
        >>> Headline(metric="reward_accuracy", evaluator="preference_accuracy", better="higher",
        ...     title="Preferences predicted", unit="share of the pairs", numerator="reward_accuracy").columns
        ('reward_accuracy',)
    """

    metric: str
    """Name of the metric."""
    title: str
    """Title of the plot."""
    unit: str
    """Unit in table columns, on axes and after a difference."""
    examples: str = "examples"
    """Plural noun for the items that the evaluator has keys for."""
    evaluator: str | None = None
    """Name of the evaluator; None: that of the metric."""
    better: Better = "lower"
    """Whether a lower or a higher value is better."""
    numerator: str | None = None
    """Column that is summed; None: the evaluator has none, and models cannot be compared with an interval."""
    denominator: str | None = None
    """Column by whose sum it is divided, equal under all models; None: each example counts once, which is a mean."""
    unit_size: float = 1.0
    """Size of the metric's unit in that of the ratio of the columns: a bit is ln 2 nats."""
    form: Literal["ratio", "root", "average_precision"] = "ratio"
    """Whether the metric is that ratio, its square root, as a root mean square is, or an average precision, a field of
    `jaxkd.metrics.AveragePrecision`."""

    def __post_init__(self) -> None:
        if self.better not in get_args(Better):
            raise ValueError(f"better must be 'lower' or 'higher', got {self.better!r} for {self.metric}.")
        if self.numerator is None and self.denominator is not None:
            raise ValueError(
                f"denominator must come with a numerator, got {self.denominator!r} alone for {self.metric}. Name the "
                "column whose sum it divides."
            )
        if self.form == "average_precision" and (self.columns or self.metric not in get_args(PrecisionMetric)):
            raise ValueError(
                f"metric must be one of {', '.join(get_args(PrecisionMetric))} without columns where the form is "
                f"'average_precision', got {self.metric!r} with {len(self.columns)} columns."
            )

    @property
    def measured_by(self) -> str:
        """Name of the evaluator that measures the metric."""
        return self.evaluator or self.metric

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that the metric is computed from; empty if there are none."""
        return tuple(name for name in (self.numerator, self.denominator) if name is not None)

    @property
    def has_interval(self) -> bool:
        """Whether the difference between two models has a paired interval."""
        return bool(self.columns) or self.form == "average_precision"


AVERAGE_PRECISION = Headline(
    metric="ap",
    title="Average precision on held-out images",
    unit="AP",
    examples="images",
    evaluator="detection",
    better="higher",
    form="average_precision",
)
"""Headline of detection: COCO's average precision, the mean over the IoU thresholds .50 to .95."""

AVERAGE_PRECISION_50 = dataclasses.replace(
    AVERAGE_PRECISION, metric="ap50", title="Average precision at an IoU of .50 on held-out images", unit="AP50"
)
"""Headline of detection where boxes need not be exact: average precision at the IoU threshold .50."""

BITS_PER_BYTE = Headline(
    metric="bits_per_byte",
    title="Bits per byte of the answers",
    unit="bits per byte",
    examples="answers",
    numerator="nats",
    denominator="bytes",
    unit_size=math.log(2),
)
"""Headline of language models, with any vocabularies."""

DICE = Headline(
    metric="dice",
    title="Dice of held-out images",
    unit="Dice",
    examples="images",
    evaluator="segmentation",
    better="higher",
    numerator="dice",
)
"""Headline of segmentation: the mean over images of the Dice coefficient."""

HAND_ERROR = Headline(
    metric="mpjpe",
    title="Error of the joints in held-out images of hands",
    unit="mm",
    examples="images",
    evaluator="hands",
    numerator="mpjpe",
)
"""Headline of hands: the mean error of the joints relative to the wrist, MPJPE, the mean over images."""

ROLLOUT_ERROR = Headline(
    metric="rollout_error",
    title="Error of forecasts of held-out records",
    unit="error / standard deviation",
    examples="records",
    numerator="square",
    form="root",
)
"""Headline of models of dynamics, relative to the standard deviation of the data."""
