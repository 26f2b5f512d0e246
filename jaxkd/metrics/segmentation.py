"""Scores of binary segmentation: confusion matrices of masks, over all pixels and image by image."""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float, Int


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Confusion:
    """Pixels of a confusion matrix, or of one for each image, and the scores that follow.

    A score of 0 / 0 is 1: there was nothing to miss and nothing was added.  So are Dice and IoU of two empty masks.
    """

    true_positives: Int[np.ndarray, "*images"]
    """Foreground pixels that were predicted."""
    false_positives: Int[np.ndarray, "*images"]
    """Background pixels that were predicted as foreground."""
    false_negatives: Int[np.ndarray, "*images"]
    """Foreground pixels that were missed."""
    true_negatives: Int[np.ndarray, "*images"]
    """Background pixels that were predicted as background."""

    @property
    def accuracy(self) -> Float[np.ndarray, "*images"]:
        """Share of the pixels that are right, (TP + TN) / all."""
        right = self.true_positives + self.true_negatives
        return _ratio(right, right + self.false_positives + self.false_negatives)

    @property
    def sensitivity(self) -> Float[np.ndarray, "*images"]:
        """Share of the foreground that was found, TP / (TP + FN); the recall."""
        return _ratio(self.true_positives, self.true_positives + self.false_negatives)

    @property
    def specificity(self) -> Float[np.ndarray, "*images"]:
        """Share of the background that was left out, TN / (TN + FP)."""
        return _ratio(self.true_negatives, self.true_negatives + self.false_positives)

    @property
    def dice(self) -> Float[np.ndarray, "*images"]:
        """Dice similarity coefficient, 2 TP / (2 TP + FP + FN) = 2 IoU / (1 + IoU); the F1 score."""
        both = 2 * self.true_positives
        return _ratio(both, both + self.false_positives + self.false_negatives)

    @property
    def iou(self) -> Float[np.ndarray, "*images"]:
        """Intersection over union of the foreground, TP / (TP + FP + FN)."""
        return _ratio(self.true_positives, self.true_positives + self.false_positives + self.false_negatives)

    def pooled(self) -> "Confusion":
        """Add the matrices of all images."""
        fields = dataclasses.fields(self)
        return Confusion(**{field.name: np.asarray(np.sum(getattr(self, field.name))) for field in fields})


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class BinarySegmentationMetrics:
    """Result of `binary_segmentation_metrics`."""

    micro: Confusion
    """One matrix over all pixels of all images, with scores that are scalars: a large object counts as its pixels."""
    per_image: Confusion
    """A matrix for each image, with scores of shape [images]: their mean counts each image once."""


def binary_segmentation_metrics(
    predicted: Bool[np.ndarray, "images height width"], target: Bool[np.ndarray, "images height width"]
) -> BinarySegmentationMetrics:
    """Return accuracy, sensitivity, specificity, Dice and IoU of masks, over all pixels and image by image.

    Published figures are of either kind: of one confusion matrix over the whole set (micro), or means over images.
    They differ wherever objects differ in size.

    Args:
        predicted: foreground that was predicted, such as `probabilities >= 0.5`.
        target: foreground of the truth.

    Returns:
        Counts as int64 and scores as float64, in [0, 1].  A score of 0 / 0 is 1: Dice and IoU where both masks are
        empty, the sensitivity without foreground, the specificity without background.

    Raises:
        TypeError: masks that are not boolean.
        ValueError: shapes that differ or are not [images, height, width], or no pixels.

    Source: Dice (1945), Jaccard (1901); the scores of 11penguins/VFFM-UNet@dcfb562, the code of arXiv 2504.03108, which
    are the micro ones.  Deviation: that code counts 0 / 0 as 0, and calls the IoU of the foreground mIoU.

    Example:
        >>> import numpy as np
        >>> target = np.array([[[True, True, False, False]], [[True, False, False, False]]])
        >>> predicted = np.array([[[True, True, True, False]], [[False, False, False, False]]])
        >>> scores = binary_segmentation_metrics(predicted, target)
        >>> round(float(scores.micro.dice), 4), round(float(scores.micro.iou), 4)
        (0.6667, 0.5)
        >>> scores.per_image.dice.tolist()
        [0.8, 0.0]
    """
    for name, masks in (("predicted", predicted), ("target", target)):
        if masks.dtype != np.bool_:
            raise TypeError(f"{name} must hold booleans, got {masks.dtype}. Compare with a threshold, as in p >= 0.5.")
    if predicted.ndim != 3 or predicted.shape != target.shape or predicted.size == 0:
        raise ValueError(
            f"predicted and target must be [images, height, width] of one shape with pixels, got {predicted.shape} and "
            f"{target.shape}. Resize the prediction to the resolution of the target."
        )
    both, either = (_pixels(one) for one in (predicted & target, predicted | target))
    per_image = Confusion(
        true_positives=both,
        false_positives=_pixels(predicted) - both,
        false_negatives=_pixels(target) - both,
        true_negatives=predicted[0].size - either,
    )
    return BinarySegmentationMetrics(micro=per_image.pooled(), per_image=per_image)


def _pixels(masks: Bool[np.ndarray, "images height width"]) -> Int[np.ndarray, " images"]:
    return np.asarray(np.sum(masks, axis=(1, 2), dtype=np.int64))


def _ratio(
    part: Int[np.ndarray, "*images"] | np.int64, whole: Int[np.ndarray, "*images"] | np.int64
) -> Float[np.ndarray, "*images"]:
    return np.where(whole == 0, 1.0, part / np.maximum(whole, 1))
