"""MISSFormer: its description, and its encoder, bridge and decoder."""

from jaxkd.vision.segmentation.missformer.network import MISSFormer as MISSFormer
