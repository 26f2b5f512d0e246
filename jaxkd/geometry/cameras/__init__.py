"""Cameras that bend: models with distortion, crops as cameras of their own, and images resampled from one to another.

Camera coordinates have x to the right, y down and z forward, in metres; pixel centres are at integers, so that the
first pixel's centre is (0, 0) and its edges are at -0.5 and 0.5.
"""

from jaxkd.geometry.cameras.camera import Camera as Camera
from jaxkd.geometry.cameras.crops import CropCamera as CropCamera
from jaxkd.geometry.cameras.crops import crop_camera_from_points as crop_camera_from_points
from jaxkd.geometry.cameras.crops import crop_image as crop_image
from jaxkd.geometry.cameras.crops import homography as homography
from jaxkd.geometry.cameras.crops import perspective_crop as perspective_crop
from jaxkd.geometry.cameras.intrinsics import check_camera as check_camera
from jaxkd.geometry.cameras.intrinsics import cropped_camera as cropped_camera
from jaxkd.geometry.cameras.intrinsics import kpe as kpe
from jaxkd.geometry.cameras.intrinsics import scaled_camera as scaled_camera
from jaxkd.geometry.cameras.models import BrownConrady as BrownConrady
from jaxkd.geometry.cameras.models import DistortedCamera as DistortedCamera
from jaxkd.geometry.cameras.models import Fisheye62 as Fisheye62
from jaxkd.geometry.cameras.models import Pinhole as Pinhole
from jaxkd.geometry.cameras.models import Rational8 as Rational8
