"""Geometry as pure functions of arrays: boxes along the axes of an image here, cameras, rotations and views below.

The corners of a box are (left, top, right, bottom) in pixels, or in any other unit that both boxes share; (0, 0) is the
image's top left corner and edges are not inclusive, so that a box around the first pixel is (0, 0, 1, 1).
`jaxkd.geometry.cameras` has pixel centres at integers instead, as cameras are calibrated: its pixel is a box's
coordinate - 0.5.
"""

from jaxkd.geometry.boxes import aligned_iou as aligned_iou
from jaxkd.geometry.boxes import box_areas as box_areas
from jaxkd.geometry.boxes import boxes_from_distances as boxes_from_distances
from jaxkd.geometry.boxes import clipped as clipped
from jaxkd.geometry.boxes import edge_distances as edge_distances
from jaxkd.geometry.boxes import generalised_iou as generalised_iou
from jaxkd.geometry.boxes import pairwise_iou as pairwise_iou
from jaxkd.geometry.suppression import nms as nms
