"""Images of triangle meshes, as pure functions of arrays.

Camera coordinates are those of OpenCV: x to the right, y down, z forward, in metres; pixel centres lie at integers, the
first at (0, 0).
"""

from jaxkd.rendering.colour import grey as grey
from jaxkd.rendering.colour import linear_light as linear_light
from jaxkd.rendering.colour import pixel_values as pixel_values
from jaxkd.rendering.layers import composite as composite
from jaxkd.rendering.layers import exposure as exposure
from jaxkd.rendering.normals import first_at_position as first_at_position
from jaxkd.rendering.normals import vertex_normals as vertex_normals
from jaxkd.rendering.rasterization import Culling as Culling
from jaxkd.rendering.rasterization import interpolate as interpolate
from jaxkd.rendering.rasterization import rasterize as rasterize
from jaxkd.rendering.records import Fragments as Fragments
from jaxkd.rendering.records import Light as Light
from jaxkd.rendering.records import ObjectLayer as ObjectLayer
from jaxkd.rendering.records import Rendering as Rendering
from jaxkd.rendering.render import draw as draw
from jaxkd.rendering.render import render as render
from jaxkd.rendering.sensor_noise import SensorNoise as SensorNoise
from jaxkd.rendering.sensor_noise import noisy as noisy
from jaxkd.rendering.shading import shade as shade
from jaxkd.rendering.skin import skin_albedo as skin_albedo
from jaxkd.rendering.skin import smooth_field as smooth_field
