"""The rows of the losses of dense detection, and of `jaxkd.geometry`."""

from collections.abc import Callable

from jaxkd import geometry, losses
from tests.geometry import test_boxes as boxes
from tests.geometry import test_suppression as suppression
from tests.losses import test_detection as detection
from tests.properties.row import Omitted, Row

NO_MASK = Omitted(because="each box is alone: what another holds does not matter")
SUMS = Omitted(because="sums and differences of edges: the hand values are the definition")


def loss(*, law: tuple[Callable, ...], numerics: Callable) -> Row:
    """A loss of classes, edges or boxes, without reduction."""
    return Row(
        hand=(detection.test_hand_values,),
        law=law,
        oracle=(detection.test_equals_float64_numpy, detection.test_equal_those_of_torch),
        mask=(detection.test_masked_rows_reach_neither_value_nor_gradient,),
        gradient=(detection.test_gradient_equals_finite_differences_and_none_reaches_the_targets,),
        numerics=(numerics, detection.test_bfloat16_is_computed_in_float32_and_nan_is_not_hidden),
        transforms=(detection.test_transforms_and_eight_devices_change_nothing,),
    )


DETECTION: dict[Callable, Row] = {
    losses.quality_focal_loss: loss(
        law=(detection.test_quality_is_the_cross_entropy_at_beta_zero_and_zero_where_it_is_met,),
        numerics=detection.test_large_logits_keep_their_cost_and_a_finite_gradient,
    ),
    losses.distribution_focal_loss: loss(
        law=(detection.test_the_distribution_that_interpolates_is_the_best_and_its_mean_is_the_distance,),
        numerics=detection.test_large_and_impossible_bins_keep_their_cost_and_a_finite_gradient,
    ),
    losses.expected_distance: loss(
        law=(detection.test_the_distribution_that_interpolates_is_the_best_and_its_mean_is_the_distance,),
        numerics=detection.test_large_and_impossible_bins_keep_their_cost_and_a_finite_gradient,
    ),
    losses.giou_loss: loss(
        law=(detection.test_equal_boxes_cost_nothing_and_the_loss_grows_with_their_distance,),
        numerics=detection.test_boxes_without_area_have_a_finite_loss_and_gradient,
    ),
}


def overlap(*law: Callable) -> Row:
    """An overlap of two boxes."""
    return Row(
        hand=(boxes.test_hand_values,),
        law=(boxes.test_overlaps_are_symmetric_and_unchanged_by_moves_and_scales, *law),
        oracle=(boxes.test_overlaps_equal_counted_pixels, boxes.test_overlaps_equal_float64_numpy),
        mask=NO_MASK,
        gradient=(
            boxes.test_gradients_of_overlaps_equal_finite_differences,
            boxes.test_boxes_that_do_not_touch_are_moved_by_the_generalised_overlap_alone,
        ),
        numerics=(
            boxes.test_boxes_without_area_have_finite_overlaps_and_gradients,
            boxes.test_large_and_bfloat16_corners_are_computed_in_float32,
        ),
        transforms=(boxes.test_jit_and_vmap_change_nothing,),
    )


def edges(*, law: Callable, oracle: Callable | None = None) -> Row:
    """A sum or difference of edges."""
    return Row(
        hand=(boxes.test_hand_values,),
        law=(law,),
        oracle=(oracle,) if oracle else SUMS,
        mask=NO_MASK,
        gradient=(boxes.test_gradients_of_distances_and_boxes_are_signs,),
        numerics=(boxes.test_large_and_bfloat16_corners_are_computed_in_float32,),
        transforms=(boxes.test_jit_and_vmap_change_nothing,),
    )


UNDONE = boxes.test_distances_and_boxes_undo_each_other_and_signs_say_what_lies_inside
PIXELS = boxes.test_clipped_boxes_cover_the_pixels_of_the_image
ALL_PAIRS = boxes.test_all_pairs_equal_the_aligned_ones_and_counted_pixels

GEOMETRY: dict[Callable, Row] = {
    geometry.box_areas: edges(law=PIXELS, oracle=boxes.test_overlaps_equal_counted_pixels),
    geometry.aligned_iou: overlap(),
    geometry.pairwise_iou: overlap(ALL_PAIRS),
    geometry.generalised_iou: overlap(),
    geometry.edge_distances: edges(law=UNDONE),
    geometry.boxes_from_distances: edges(law=UNDONE),
    geometry.clipped: edges(law=PIXELS, oracle=PIXELS),
    geometry.nms: Row(
        hand=(suppression.test_hand_values,),
        law=(
            suppression.test_what_is_kept_does_not_overlap_and_what_is_not_overlaps_something_better,
            suppression.test_equal_scores_are_kept_in_the_order_of_their_index,
        ),
        oracle=(suppression.test_equals_a_greedy_loop,),
        mask=(suppression.test_masked_candidates_may_hold_anything_and_there_may_be_none,),
        gradient=(suppression.test_no_gradient_passes_and_vmap_equals_a_loop,),
        numerics=(suppression.test_boxes_without_area_and_infinite_or_bfloat16_scores,),
        transforms=(suppression.test_no_gradient_passes_and_vmap_equals_a_loop,),
    ),
}
