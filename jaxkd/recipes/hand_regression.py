"""HandRegression: a network learns the joints of hands from their labels."""

import dataclasses

from jaxkd.vision.hands.recipe import HandRecipe


@dataclasses.dataclass(frozen=True, kw_only=True)
class HandRegression(HandRecipe):
    """loss = mean over images of pixel_weight * L1(pixels) + point_weight * L1(points) + depth_weight * L1(log depth).

    Source: the losses of JHands in HANDS23 (arXiv 2403.16428), with the weights 1, 10 and 1 of
    patienceFromZhou/simpleHand@c3e6abc; their units are inferred.  Deviation: the logarithm of the depth.
    """
