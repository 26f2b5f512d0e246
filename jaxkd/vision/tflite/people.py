"""MediaPipe's network that tells people from their background."""

import dataclasses

from jaxtyping import Array, Float

from jaxkd.typing import Params
from jaxkd.vision.tflite import packaged
from jaxkd.vision.tflite.model import TFLiteModel

SIDE = 256
"""Height and width of the images, in pixels."""

_MASK = "activation_10"


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class SelfieSegmentation:
    """Network for people before a camera, of 106,401 parameters: `network(network.params, images)`.

    Source: the file of mediapipe 0.10.14, selfie_segmentation.tflite.
    """

    model: TFLiteModel

    @property
    def params(self) -> Params:
        """Parameters, of float32."""
        return self.model.params

    def __call__(self, params: Params, images: Float[Array, "b 256 256 3"]) -> Float[Array, "b 256 256"]:
        """Return for each pixel the probability that it shows a person.

        Args:
            params: parameters.
            images: red, green and blue, from 0 to 1.

        Raises:
            ValueError: images of another size.
        """
        return self.model(params, images)[_MASK][..., 0]


def selfie_segmentation() -> SelfieSegmentation:
    """Return MediaPipe's network for people (Apache-2.0), after a download of 36 MB where it is not in the cache.

    Raises:
        ConnectionError: the package is neither in the cache nor to be had from the package index.
        ValueError: the file is not the named one.
    """
    return SelfieSegmentation(model=packaged.load(packaged.SELFIE_SEGMENTATION))
