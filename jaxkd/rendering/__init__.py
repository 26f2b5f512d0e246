"""Images of triangle meshes, as pure functions of arrays."""

from jaxkd.rendering.fragments import Fragments as Fragments
from jaxkd.rendering.interpolation import interpolate as interpolate
from jaxkd.rendering.rasterization import rasterize as rasterize
