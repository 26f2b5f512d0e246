"""Evaluators of networks that read images, and the small pictures that show what these found."""

from jaxkd.evals.vision.detection_scores import DetectionScores as DetectionScores
from jaxkd.evals.vision.hand_scores import HandScores as HandScores
from jaxkd.evals.vision.segmentation_scores import SegmentationScores as SegmentationScores
