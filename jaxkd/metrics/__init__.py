"""Scores of what a model returns, beside a reference, as pure functions that load NumPy, not JAX.

Replies: Rouge-L, options and numbers read from free text, pass@k.  Images: confusion matrices of masks, average
precision of boxes.  Hands have a package of their own, `jaxkd.metrics.hand_pose`, which loads JAX.
"""

from jaxkd.metrics.average_precision import AveragePrecision as AveragePrecision
from jaxkd.metrics.average_precision import ImageMatches as ImageMatches
from jaxkd.metrics.average_precision import average_precision as average_precision
from jaxkd.metrics.average_precision import match_image as match_image
from jaxkd.metrics.numbers import NumberRule as NumberRule
from jaxkd.metrics.numbers import equal_numbers as equal_numbers
from jaxkd.metrics.numbers import final_number as final_number
from jaxkd.metrics.options import option as option
from jaxkd.metrics.pass_at_k import pass_at_k as pass_at_k
from jaxkd.metrics.rouge import Tokenization as Tokenization
from jaxkd.metrics.rouge import resolve_tokens as resolve_tokens
from jaxkd.metrics.rouge import rouge_l as rouge_l
from jaxkd.metrics.rouge import rouge_l_values as rouge_l_values
from jaxkd.metrics.segmentation import BinarySegmentationMetrics as BinarySegmentationMetrics
from jaxkd.metrics.segmentation import Confusion as Confusion
from jaxkd.metrics.segmentation import binary_segmentation_metrics as binary_segmentation_metrics
from jaxkd.metrics.verdicts import truth as truth
