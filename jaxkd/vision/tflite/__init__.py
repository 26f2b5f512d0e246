"""TFLite files as pure JAX functions, and the networks for hands and people that a package ships."""

from jaxkd.vision.tflite.hands import HandLandmarks, HandNetwork, HandSize, hand_landmarks
from jaxkd.vision.tflite.model import TFLiteModel, read_tflite
from jaxkd.vision.tflite.people import SelfieSegmentation, selfie_segmentation

__all__ = [
    "HandLandmarks",
    "HandNetwork",
    "HandSize",
    "SelfieSegmentation",
    "TFLiteModel",
    "hand_landmarks",
    "read_tflite",
    "selfie_segmentation",
]
