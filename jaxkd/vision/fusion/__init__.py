"""Early fusion of a visible and a thermal image: how much weight each has at each pixel."""

from jaxkd.vision.fusion.edges import sobel_magnitude as sobel_magnitude
from jaxkd.vision.fusion.shape_weights import EdgeNorm as EdgeNorm
from jaxkd.vision.fusion.shape_weights import shape_weights as shape_weights
from jaxkd.vision.fusion.structural_similarity import ssim_map as ssim_map
