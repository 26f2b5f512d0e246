"""Feature pyramid: maps of one width, from fine to coarse, each of which knows the coarser ones."""

from collections.abc import Sequence

from flax import nnx
from jaxtyping import Array, Float

from jaxkd.vision.layers import conv, repeat_pixels

FIRST_LEVEL = 3
"""The finest map, of 1/2^3 of the image's sides; level 5 is the coarsest one that the backbone has."""

BACKBONE_LEVELS = 3
"""Maps of the backbone that are read, C3 to C5, which is the least number of levels."""

_XAVIER = nnx.initializers.xavier_uniform()


class FPN(nnx.Module):
    """Maps P3 to P5 from the backbone's C3 to C5, and further ones by convolutions of stride 2.

    Each map of the backbone is brought to one width, the coarser sum is added to it, each pixel repeated, and a
    convolution of size 3 follows.  P6 is a convolution of P5 and P7 of P6, without an activation between them.

    Source: Lin et al. (arXiv 1612.03144), section 3; P6 and P7 as in open-mmlab/mmdetection@0492e5c with
    `add_extra_convs="on_output"` and `start_level=1`, the settings of its GFL configuration@08ce5c8.  Deviation: none.
    """

    def __init__(self, channels: Sequence[int], width: int = 256, *, levels: int = 5, rngs: nnx.Rngs):
        """Draw the weights, from Xavier's uniform distribution; biases are 0.

        Args:
            channels: channels of C3, C4 and C5.
            width: channels of every map of the pyramid.
            levels: maps, of which those beyond the third are convolutions of the one before.
            rngs: source of the weights.

        Raises:
            ValueError: fewer levels than the backbone has.
        """
        if levels < BACKBONE_LEVELS:
            raise ValueError(f"levels must be {BACKBONE_LEVELS} or more, those of the backbone, got {levels}.")
        self.levels = levels
        self.lateral = nnx.Dict(
            {
                f"p{FIRST_LEVEL + place}": conv(before, width, 1, kernel_init=_XAVIER, rngs=rngs)
                for place, before in enumerate(channels)
            }
        )
        self.output = nnx.Dict(
            {
                f"p{FIRST_LEVEL + place}": conv(
                    width, width, 3, stride=1 if place < BACKBONE_LEVELS else 2, kernel_init=_XAVIER, rngs=rngs
                )
                for place in range(levels)
            }
        )

    def __call__(self, maps: tuple[Float[Array, "b _ _ _"], ...]) -> tuple[Float[Array, "b _ _ k"], ...]:
        """Return the maps of the pyramid, the finest first, from C3, C4 and C5."""
        names = [f"p{FIRST_LEVEL + place}" for place in range(self.levels)]
        sums: dict[str, Float[Array, "b _ _ k"]] = {}
        coarser = None
        for name, values in reversed(list(zip(names, maps, strict=False))):
            values = self.lateral[name](values)
            if coarser is not None:
                # A map of an odd side has a pixel less than twice those of the coarser one.
                values = values + repeat_pixels(coarser, 2)[:, : values.shape[1], : values.shape[2]]
            coarser = sums[name] = values
        outputs = [self.output[name](sums[name]) for name in names[:BACKBONE_LEVELS]]
        for name in names[BACKBONE_LEVELS:]:
            outputs.append(self.output[name](outputs[-1]))
        return tuple(outputs)
