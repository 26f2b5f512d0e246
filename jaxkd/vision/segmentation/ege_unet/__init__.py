"""EGE-UNet: its description, and its two blocks."""

from jaxkd.vision.segmentation.ege_unet.network import EGEUNet as EGEUNet
