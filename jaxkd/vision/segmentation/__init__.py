"""Networks that assign each pixel to classes."""

from jaxkd.vision.segmentation.ege_unet.network import EGEUNet as EGEUNet
from jaxkd.vision.segmentation.maps import SegmentationMaps as SegmentationMaps
from jaxkd.vision.segmentation.missformer.network import MISSFormer as MISSFormer
from jaxkd.vision.segmentation.unet import UNet as UNet
from jaxkd.vision.segmentation.vffm_unet import VFFMUNet as VFFMUNet
