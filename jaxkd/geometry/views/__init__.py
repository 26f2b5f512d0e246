"""Several views of one scene: predictions fused in the world's coordinates, rays that meet, trajectories smoothed."""

from jaxkd.geometry.views.fusion import fuse_agreeing_pair as fuse_agreeing_pair
from jaxkd.geometry.views.fusion import fuse_mean as fuse_mean
from jaxkd.geometry.views.fusion import fuse_weighted as fuse_weighted
from jaxkd.geometry.views.fusion import view_weights as view_weights
from jaxkd.geometry.views.smoothing import savgol as savgol
from jaxkd.geometry.views.triangulation import triangulate as triangulate
from jaxkd.geometry.views.triangulation import view_rays as view_rays
