"""Evaluators of networks on images."""

from jaxkd.evals.vision.segmentation_scores import SegmentationScores as SegmentationScores
