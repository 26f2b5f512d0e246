"""The rows of `jaxkd.geometry.cameras`, `jaxkd.geometry.rotations` and `jaxkd.geometry.views`."""

from collections.abc import Callable

from jaxkd.geometry import cameras, rotations, views
from tests.geometry import test_rotations as rotation
from tests.geometry.cameras import test_crops as crops
from tests.geometry.cameras import test_intrinsics as intrinsics
from tests.geometry.views import test_fusion as fusion
from tests.geometry.views import test_smoothing as smoothing
from tests.geometry.views import test_triangulation as triangulation
from tests.properties.row import Omitted, Row

NO_MASK = Omitted(because="each crop or direction is alone: what another holds does not matter")
HOST = Omitted(because="it runs on the host, on values of its own or of NumPy")
EXACT = Omitted(because="sums and products of parameters: the hand values are the definition")
ALIGNED = Omitted(because="not meant to be differentiated: an SVD's derivative is infinite at equal singular values")
CONSTANT = Omitted(because="a bound on parameters, read once and not differentiated")

FOLLOWED = intrinsics.test_scaling_and_cropping_follow_a_point_through_the_pixels
KEPT = intrinsics.test_other_models_keep_their_distortion
KPE = intrinsics.test_kpe_has_80_channels_and_equals_a_loop
HOMOGRAPHY = crops.test_the_homography_is_k_r_k_and_the_centre_is_in_the_centre
CORNERS = crops.test_the_homography_equals_that_of_the_four_corners
FISHEYE = crops.test_a_crop_of_a_fisheye_is_a_pinhole_that_holds_the_corners
UNSEEN = crops.test_corners_that_a_camera_does_not_see_mirror_those_opposite
FILLED = crops.test_points_fill_their_crop
LENS = crops.test_an_image_seen_through_a_lens_is_that_of_the_pinhole
PIXELS = crops.test_pixels_are_interpolated_and_what_lies_outside_is_zero


def edited() -> Row:
    """The intrinsics of a resized or cut image."""
    return Row(
        hand=(FOLLOWED,),
        law=(FOLLOWED, KEPT),
        oracle=EXACT,
        mask=NO_MASK,
        gradient=(KEPT,),
        numerics=EXACT,
        transforms=EXACT,
    )


def check(*tests: Callable) -> Row:
    """A check on the host."""
    return Row(hand=tests, law=tests, oracle=CONSTANT, mask=HOST, gradient=CONSTANT, numerics=tests, transforms=HOST)


CAMERAS: dict[Callable, Row] = {
    cameras.scaled_camera: edited(),
    cameras.cropped_camera: edited(),
    cameras.kpe: Row(
        hand=(KPE,),
        law=(intrinsics.test_kpe_of_a_resized_image_is_the_same,),
        oracle=(KPE,),
        mask=NO_MASK,
        gradient=(KPE,),
        numerics=(KPE,),
        transforms=(KPE,),
    ),
    cameras.check_camera: check(
        intrinsics.test_right_calibrations_pass, intrinsics.test_refuses_calibrations_that_are_none
    ),
    cameras.perspective_crop: Row(
        hand=(crops.test_hand_values,),
        law=(HOMOGRAPHY, crops.test_the_rotation_is_the_smallest_and_an_angle_turns_x_towards_y, FISHEYE),
        oracle=(CORNERS,),
        mask=(UNSEEN,),
        gradient=(FISHEYE,),
        numerics=(UNSEEN,),
        transforms=(FISHEYE,),
    ),
    cameras.homography: Row(
        hand=(crops.test_hand_values,),
        law=(HOMOGRAPHY,),
        oracle=(HOMOGRAPHY, CORNERS),
        mask=NO_MASK,
        gradient=Omitted(because="a product of three matrices"),
        numerics=(HOMOGRAPHY,),
        transforms=(HOMOGRAPHY,),
    ),
    cameras.crop_camera_from_points: Row(
        hand=(crops.test_hand_values,),
        law=(FILLED,),
        oracle=(FILLED,),
        mask=(FILLED,),
        gradient=Omitted(because="a crop is chosen, not learnt: the extremes of the points have no useful gradient"),
        numerics=(FILLED,),
        transforms=(FILLED,),
    ),
    cameras.crop_image: Row(
        hand=(PIXELS,),
        law=(LENS,),
        oracle=(LENS,),
        mask=(PIXELS,),
        gradient=(PIXELS,),
        numerics=(LENS,),
        transforms=(LENS,),
    ),
}


def pose() -> Row:
    """A rigid transform by the pose of a camera."""
    undone = rotation.test_poses_undo_each_other_and_their_gradients_are_rotations
    return Row(
        hand=(rotation.test_hand_values,),
        law=(undone,),
        oracle=(undone,),
        mask=NO_MASK,
        gradient=(undone,),
        numerics=EXACT,
        transforms=(undone,),
    )


def alignment() -> Row:
    """A fit of points to others, or the points that it moves."""
    scipy = rotation.test_alignments_equal_those_through_scipy_and_masked_points_do_not_matter
    degenerate = rotation.test_sets_without_extent_and_mirrored_ones_have_a_proper_rotation
    return Row(
        hand=(rotation.test_hand_values,),
        law=(rotation.test_alignment_undoes_any_similarity_in_any_order_of_points, degenerate),
        oracle=(scipy,),
        mask=(scipy, degenerate),
        gradient=ALIGNED,
        numerics=(degenerate, rotation.test_alignments_of_float64_and_of_one_set),
        transforms=(scipy, rotation.test_alignments_of_float64_and_of_one_set),
    )


ROTATIONS: dict[Callable, Row] = {
    rotations.minimal_rotation: Row(
        hand=(rotation.test_hand_values,),
        law=(rotation.test_equal_opposite_and_missing_directions_have_a_rotation_and_a_finite_gradient,),
        oracle=(rotation.test_the_minimal_rotation_equals_that_of_scipy,),
        mask=NO_MASK,
        gradient=(rotation.test_the_minimal_rotation_equals_that_of_scipy,),
        numerics=(rotation.test_equal_opposite_and_missing_directions_have_a_rotation_and_a_finite_gradient,),
        transforms=(rotation.test_the_minimal_rotation_equals_that_of_scipy,),
    ),
    rotations.rotation_error: check(rotation.test_hand_values, rotation.test_rotations_are_checked),
    rotations.check_rotation: check(rotation.test_rotations_are_checked),
    rotations.to_world: pose(),
    rotations.to_camera: pose(),
    rotations.fit_similarity: alignment(),
    rotations.fit_rigid: alignment(),
    rotations.similarity_alignment: alignment(),
    rotations.rigid_alignment: alignment(),
}

LOOP = fusion.test_equals_a_float64_loop_and_frames_without_a_view_are_nan
VIEW_GRADIENT = fusion.test_gradients_equal_finite_differences_and_do_not_reach_masked_views
WEIGHTS = fusion.test_weights_are_relative_and_large_and_small_ones_are_fine


def fused() -> Row:
    """A rule that fuses views."""
    return Row(
        hand=(fusion.test_hand_values,),
        law=(
            fusion.test_the_order_of_views_and_frames_changes_nothing,
            fusion.test_fusion_lowers_the_error_and_the_agreeing_pair_passes_an_outlier_over,
        ),
        oracle=(LOOP,),
        mask=(LOOP, VIEW_GRADIENT),
        gradient=(VIEW_GRADIENT,),
        numerics=(WEIGHTS,),
        transforms=(LOOP,),
    )


NOT_COUNTED = triangulation.test_rays_that_do_not_count_and_points_without_two_rays
MODELS = triangulation.test_pixels_of_several_models_meet_in_their_point
GAPS = smoothing.test_gaps_are_not_crossed_and_short_runs_stay_as_they_are
FILTER = smoothing.test_equals_scipy_without_gaps_keeps_polynomials_and_turns_with_time

VIEWS: dict[Callable, Row] = {
    views.fuse_mean: fused(),
    views.fuse_weighted: fused(),
    views.fuse_agreeing_pair: fused(),
    views.view_weights: Row(
        hand=(fusion.test_hand_values,),
        law=(WEIGHTS,),
        oracle=EXACT,
        mask=HOST,
        gradient=HOST,
        numerics=(WEIGHTS,),
        transforms=HOST,
    ),
    views.triangulate: Row(
        hand=(triangulation.test_hand_values,),
        law=(
            triangulation.test_exact_rays_meet_in_their_point,
            triangulation.test_the_order_of_views_and_the_scale_of_rays_and_weights_change_nothing,
        ),
        oracle=(triangulation.test_noisy_rays_equal_the_least_squares_of_scipy_and_its_gradient,),
        mask=(NOT_COUNTED,),
        gradient=(triangulation.test_noisy_rays_equal_the_least_squares_of_scipy_and_its_gradient,),
        numerics=(NOT_COUNTED, triangulation.test_exact_rays_meet_in_their_point),
        transforms=(NOT_COUNTED,),
    ),
    views.view_rays: Row(
        hand=(triangulation.test_hand_values,),
        law=(MODELS,),
        oracle=Omitted(because="it calls the method of each camera"),
        mask=Omitted(because="it calls the method of each camera"),
        gradient=Omitted(because="it calls the method of each camera"),
        numerics=Omitted(because="it calls the method of each camera"),
        transforms=(MODELS,),
    ),
    views.savgol: Row(
        hand=(smoothing.test_hand_values,),
        law=(FILTER,),
        oracle=(FILTER, GAPS),
        mask=(GAPS,),
        gradient=HOST,
        numerics=(GAPS,),
        transforms=HOST,
    ),
}
