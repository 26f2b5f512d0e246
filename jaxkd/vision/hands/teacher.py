"""MediaPipe's network for hands as a model that evaluators and stages take."""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, UInt8

from jaxkd.training.evaluator import ModelSource
from jaxkd.vision.hands.prediction import HandPrediction
from jaxkd.vision.tflite import HandNetwork, HandSize, hand_landmarks


@dataclasses.dataclass(frozen=True, kw_only=True)
class MediaPipeHands(ModelSource):
    """MediaPipe's network for the 21 joints of a hand, of crops of 224 x 224 pixels, as published."""

    network_size: HandSize = "full"
    """"full", of 2,715,680 parameters, or "lite", of 1,011,712."""

    def validate(self) -> None:
        """Fetch the network.

        Raises:
            ConnectionError: the package is neither in the cache nor to be had from the package index.
        """
        hand_landmarks(self.network_size)

    def provenance(self) -> str:
        return f"hand_landmark_{self.network_size} of mediapipe 0.10.14"

    def load_model(self) -> "HandLandmarkModel":
        network = hand_landmarks(self.network_size)
        return HandLandmarkModel(network=network, params=network.params)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class HandLandmarkModel:
    """A published network for hands, called like a trained one."""

    network: HandNetwork = dataclasses.field(metadata={"static": True})
    params: dict[str, Array]

    def __str__(self) -> str:
        return "MediaPipe's network for hands"

    def __call__(self, images: UInt8[Array, "b 224 224 3"]) -> HandPrediction:
        """Return the joints in MediaPipe's order, relative to the wrist, and how sure the network is of a hand."""
        found = self.network(self.params, images.astype(jnp.float32) / 255)
        return HandPrediction(pixels=found.image, points=found.world - found.world[:, :1], confidence=found.presence)
