"""Errors of hands and of objects that they hold, as pure functions of joints and vertices: no body model is needed.

Distances are in metres, or in any unit that all arguments share.  What does not count is NaN, never 0: average with
`nan_mean`.
"""

from jaxkd.metrics.hand_pose.contact import closest_vertices as closest_vertices
from jaxkd.metrics.hand_pose.contact import contact_deviation as contact_deviation
from jaxkd.metrics.hand_pose.contact import contact_deviation_loss as contact_deviation_loss
from jaxkd.metrics.hand_pose.contact import interaction_field_error as interaction_field_error
from jaxkd.metrics.hand_pose.joints import joint_errors as joint_errors
from jaxkd.metrics.hand_pose.joints import mpjpe as mpjpe
from jaxkd.metrics.hand_pose.joints import mpjpe_joints_first as mpjpe_joints_first
from jaxkd.metrics.hand_pose.joints import mrrpe as mrrpe
from jaxkd.metrics.hand_pose.joints import nan_mean as nan_mean
from jaxkd.metrics.hand_pose.motion import NO_WINDOW as NO_WINDOW
from jaxkd.metrics.hand_pose.motion import acceleration_error as acceleration_error
from jaxkd.metrics.hand_pose.motion import contact_windows as contact_windows
from jaxkd.metrics.hand_pose.motion import motion_deviation as motion_deviation
from jaxkd.metrics.hand_pose.objects import articulation_error as articulation_error
from jaxkd.metrics.hand_pose.objects import bottom_centre as bottom_centre
from jaxkd.metrics.hand_pose.objects import success_rate as success_rate
from jaxkd.metrics.hand_pose.procrustes import pa_mpjpe as pa_mpjpe
