"""Parameters of VFFM-UNet by part, counted in the published network."""

from collections.abc import Mapping

import jax

from jaxkd.typing import Params
from jaxkd.vision.segmentation.vffm_unet import VFFMUNet

PUBLISHED: Mapping[str, int] = {
    "the network": 351_052,
    "enc0": 224,
    "enc1": 1_168,
    "enc2": 3_480,
    "enc3": 16_741,
    "enc4": 30_035,
    "enc5": 119_615,
    "dec0": 61_585,
    "dec1": 30_019,
    "dec2": 6_936,
    "dec3": 3_472,
    "dec4": 1_160,
    "dec5": 73,
    "connection 0": 41_520,
    "connection 1": 18_464,
    "connection 2": 10_392,
    "connection 3": 4_624,
    "connection 4": 1_160,
    "GN0": 16,
    "GN1": 32,
    "GN2": 48,
    "GN3": 64,
    "GN4": 96,
    "GN5": 128,
    "VF(24)": 9_797,
    "VF(32)": 16_163,
    "VF(48)": 33_889,
    "VF(64)": 58_014,
    "attention of VF(24)": 2_400,
    "attention of VF(32)": 3_968,
    "attention of VF(48)": 8_256,
    "attention of VF(64)": 14_080,
    "channel fusion of VF(24)": 636,
    "channel fusion of VF(32)": 1_104,
    "channel fusion of VF(48)": 2_424,
    "channel fusion of VF(64)": 4_256,
    "convolution 7 x 7 of VF(24)": 297,
    "convolution 7 x 7 of VF(32)": 297,
    "convolution 7 x 7 of VF(48)": 297,
    "convolution 7 x 7 of VF(64)": 297,
}
"""Parameters of each part.  Those of a stage exclude its norm, and those of a decoder stage its connection."""


def counted(network: VFFMUNet) -> dict[str, int]:
    """Return the parameters of each part of a network."""
    params, _ = network.abstract()
    parts: dict[str, Params] = {"the network": params, "dec5": params["head"]}
    for name, key, count in (("enc", "encoder", 6), ("dec", "decoder", 5), ("connection ", "connections", 5)):
        parts |= {f"{name}{place}": params[key][f"stage{place}"] for place in range(count)}
    parts |= {f"GN{place}": params["norms"][f"width{place}"] for place in range(6)}
    encoder = params["encoder"]
    blocks = (
        encoder["stage3"]["before"],
        encoder["stage4"]["before"],
        *map(encoder["stage5"].get, ("before", "after")),
    )
    for width, block in zip(network.widths[2:], blocks, strict=True):
        parts[f"VF({width})"] = block
        parts[f"attention of VF({width})"] = block["fusion"]["pixel"]
        parts[f"channel fusion of VF({width})"] = block["fusion"]["channel"]
        parts[f"convolution 7 x 7 of VF({width})"] = block["fusion"]["spatial"]["select"]
    return {name: sum(leaf.size for leaf in jax.tree.leaves(part)) for name, part in parts.items()}
