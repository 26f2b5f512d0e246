"""The rows of `jaxkd.metrics.hand_pose`."""

from collections.abc import Callable

from jaxkd.metrics import hand_pose
from tests.metrics.hand_pose import test_contact_windows as windows
from tests.metrics.hand_pose import test_hand_pose as hands
from tests.properties.row import Omitted, Row, Shown

HOST = Omitted(because="runs on the host, over NumPy arrays")
NO_GRADIENT = Omitted(because="a share of vertices: its gradient is zero wherever there is one")

FRAMES = hands.test_the_order_of_frames_changes_no_metric_without_time
SIDES = hands.test_the_order_of_left_and_right_changes_no_figure
MOVES = hands.test_moving_both_sides_changes_no_metric_and_a_similarity_not_the_aligned_error
SLOPES = (hands.test_gradients_equal_finite_differences_and_nothing_is_nan,)


def of_hands(*law: Callable, gradient: Shown = SLOPES) -> Row:
    """A metric of joints or vertices: loops show it under `jit` and `vmap`."""
    loops = hands.test_every_metric_equals_a_float64_loop_on_random_sequences
    return Row(
        hand=(hands.test_hand_values,),
        law=law,
        oracle=(loops,),
        mask=(hands.test_what_does_not_count_reaches_nothing,),
        gradient=gradient,
        numerics=(
            hands.test_float32_has_five_digits_a_metre_from_the_camera,
            hands.test_half_precision_is_computed_in_float32,
        ),
        transforms=(loops,),
    )


ZERO = hands.test_equal_joints_and_contacts_have_a_gradient_of_zero_and_no_gradient_passes_the_alignment

HAND_POSE: dict[Callable, Row] = {
    hand_pose.joint_errors: of_hands(FRAMES, SIDES, MOVES),
    hand_pose.mpjpe: of_hands(FRAMES, SIDES, MOVES, gradient=(*SLOPES, ZERO)),
    hand_pose.mpjpe_joints_first: of_hands(FRAMES, SIDES, MOVES),
    hand_pose.pa_mpjpe: of_hands(FRAMES, SIDES, MOVES, gradient=(ZERO,)),
    hand_pose.mrrpe: of_hands(FRAMES, SIDES, MOVES),
    hand_pose.contact_deviation: of_hands(FRAMES, SIDES, MOVES),
    hand_pose.contact_deviation_loss: of_hands(FRAMES, SIDES, MOVES, gradient=(*SLOPES, ZERO)),
    hand_pose.closest_vertices: of_hands(FRAMES, SIDES, MOVES),
    hand_pose.interaction_field_error: of_hands(FRAMES, SIDES, MOVES),
    hand_pose.contact_windows: Row(
        hand=(
            windows.test_hand_values,
            windows.test_contacts_at_both_ends_count_unless_the_released_code_is_asked_for,
        ),
        law=(windows.test_what_slides_is_left_out_and_the_place_is_the_most_frequent_one,),
        oracle=(hands.test_every_metric_equals_a_float64_loop_on_random_sequences,),
        mask=(windows.test_the_threshold_itself_and_nan_are_no_contact,),
        gradient=HOST,
        numerics=(windows.test_the_threshold_itself_and_nan_are_no_contact,),
        transforms=HOST,
    ),
    hand_pose.motion_deviation: of_hands(SIDES),
    hand_pose.acceleration_error: of_hands(SIDES, MOVES),
    hand_pose.bottom_centre: of_hands(MOVES),
    hand_pose.success_rate: of_hands(FRAMES, MOVES, gradient=NO_GRADIENT),
    hand_pose.articulation_error: of_hands(FRAMES),
    hand_pose.nan_mean: of_hands(SIDES),
}
