"""The rows of `jaxkd.losses` on labels, and of `jaxkd.losses.reduce`."""

from collections.abc import Callable

from jaxkd import losses
from jaxkd.losses import reduce
from tests.losses import test_bernoulli as bernoulli
from tests.losses import test_binary as binary
from tests.losses import test_language as language
from tests.losses import test_reduce as reducer
from tests.losses import test_segmentation as segmentation
from tests.losses import test_segments as segments
from tests.losses import test_weak_supervision as weak_supervision
from tests.losses.linear import test_contrast as contrast
from tests.losses.linear import test_event_log_probs as event
from tests.properties.row import Omitted, Row

LABELS: dict[Callable, Row] = {
    losses.cross_entropy: Row(
        hand=(language.test_uniform_logits_cost_log_v, language.test_hand_values_of_the_options),
        law=(language.test_only_the_penalty_sees_a_constant,),
        oracle=(language.test_equals_float64_numpy,),
        mask=(language.test_rows_that_are_not_tokens_change_neither_value_nor_gradient,),
        gradient=(language.test_gradient_of_cross_entropy,),
        numerics=(
            language.test_large_logits_stay_exact_and_their_gradient_finite,
            language.test_degenerate_distributions_have_a_finite_gradient,
            language.test_bfloat16_is_summed_in_float32_and_float64_is_kept,
            language.test_an_impossible_label_and_nan_are_not_hidden,
        ),
        transforms=(language.test_transforms_of_cross_entropy_change_nothing,),
    ),
    **dict.fromkeys(
        (losses.sequence_log_prob, losses.segment_log_prob),
        Row(
            hand=(language.test_hand_values_of_sequences_and_segments,),
            law=(language.test_one_segment_is_the_sequence_and_packing_changes_nothing,),
            oracle=(language.test_sequences_and_segments_equal_float64_numpy,),
            mask=(
                language.test_padded_equals_truncated_whatever_the_padding_holds,
                language.test_no_tokens_give_zero_and_a_zero_gradient,
            ),
            gradient=(language.test_gradients_of_sequences_and_segments,),
            numerics=(language.test_large_and_bfloat16_logits_of_sequences_and_segments,),
            transforms=(
                language.test_transforms_of_sequences_and_segments_change_nothing,
                language.test_eight_devices_change_nothing,
            ),
        ),
    ),
}


def event_logits(*, law: tuple[Callable, ...], oracle: Callable, gradient: Callable) -> Row:
    """A loss of events with one logit each."""
    return Row(
        hand=(bernoulli.test_hand_values,),
        law=law,
        oracle=(oracle, bernoulli.test_equal_those_of_torch),
        mask=(bernoulli.test_what_a_mask_leaves_out_does_not_matter,),
        gradient=(gradient,),
        numerics=(
            bernoulli.test_large_logits_stay_exact_and_their_gradient_useful,
            bernoulli.test_certain_sides_cost_nothing_where_right_and_infinity_where_wrong,
            bernoulli.test_bfloat16_is_computed_in_float32_and_nan_is_not_hidden,
        ),
        transforms=(bernoulli.test_transforms_and_eight_devices_change_nothing,),
    )


PROBABILITIES: dict[Callable, Row] = {
    losses.event_log_probs: Row(
        hand=(event.test_hand_values,),
        law=(event.test_an_event_and_its_opposite_add_up_to_one, event.test_stores_no_logits),
        oracle=(event.test_equals_float64_numpy_and_the_gradient_of_all_logits,),
        mask=(event.test_what_is_masked_does_not_matter_and_nothing_gives_zero,),
        gradient=(
            event.test_equals_float64_numpy_and_the_gradient_of_all_logits,
            event.test_gradient_equals_finite_differences,
        ),
        numerics=(event.test_an_unlikely_event_keeps_its_logarithm_and_nan_is_not_hidden,),
        transforms=(event.test_jit_vmap_and_eight_devices_change_nothing,),
    ),
    losses.binary_divergence: Row(
        hand=(binary.test_hand_value,),
        law=(
            binary.test_is_the_divergence_of_two_outcomes_and_zero_between_equals,
            binary.test_tends_to_its_limit_in_the_temperature,
        ),
        oracle=(binary.test_equals_float64_numpy,),
        mask=(binary.test_what_a_mask_leaves_out_does_not_matter,),
        gradient=(binary.test_gradient_equals_finite_differences_and_none_reaches_the_teacher,),
        numerics=(
            binary.test_certain_and_impossible_events_have_a_finite_cost_and_gradient,
            binary.test_bfloat16_is_compared_in_float32,
        ),
        transforms=(binary.test_transforms_and_eight_devices_change_nothing,),
    ),
    losses.bernoulli_divergence: event_logits(
        law=(
            bernoulli.test_divergence_is_the_cross_entropy_less_the_entropy_and_zero_between_equals,
            bernoulli.test_divergence_is_the_forward_kl_of_two_outcomes,
            bernoulli.test_divergence_is_binary_divergence_at_temperature_one_and_does_not_saturate,
        ),
        oracle=bernoulli.test_divergence_equals_float64_numpy,
        gradient=bernoulli.test_gradients_equal_their_formulas_and_finite_differences,
    ),
}


def segmented(*, law: tuple[Callable, ...], numerics: tuple[Callable, ...] = ()) -> Row:
    """A loss of images, one value each."""
    return Row(
        hand=(segmentation.test_hand_values,),
        law=law,
        oracle=(segmentation.test_equals_float64_numpy, segmentation.test_equal_those_of_torch),
        mask=(
            segmentation.test_masked_pixels_are_as_if_cut_off,
            segmentation.test_images_without_pixels_cost_nothing,
            segmentation.test_a_batch_is_averaged_over_the_images_that_count,
        ),
        gradient=(segmentation.test_gradient_equals_finite_differences_and_none_reaches_the_targets,),
        numerics=(
            segmentation.test_the_gradient_of_dice_vanishes_at_certain_errors_and_that_of_the_sum_does_not,
            segmentation.test_bfloat16_is_computed_in_float32_and_nan_is_not_hidden,
            *numerics,
        ),
        transforms=(segmentation.test_transforms_and_eight_devices_change_nothing,),
    )


SEGMENTATION: dict[Callable, Row] = {
    losses.binary_cross_entropy: event_logits(
        law=(
            bernoulli.test_cross_entropy_is_that_of_two_classes,
            segmentation.test_cross_entropy_over_one_class_is_no_loss_and_ours_is_one,
        ),
        oracle=bernoulli.test_cross_entropy_equals_float64_numpy,
        gradient=bernoulli.test_gradient_of_cross_entropy_and_none_to_the_targets,
    ),
    losses.dice_loss: segmented(
        law=(
            segmentation.test_hard_masks_cost_one_less_the_dice_coefficient,
            segmentation.test_dice_compares_both_sides_alike_and_neither_order_nor_other_images_count,
        ),
        numerics=(segmentation.test_small_losses_keep_their_digits,),
    ),
    losses.bce_dice_loss: segmented(
        law=(
            segmentation.test_the_sum_is_that_of_its_parts,
            segmentation.test_cross_entropy_over_one_class_is_no_loss_and_ours_is_one,
        ),
    ),
}

WEAK_SUPERVISION: dict[Callable, Row] = {
    losses.weak_supervision_loss: Row(
        hand=(weak_supervision.test_hand_values,),
        law=(
            weak_supervision.test_both_sides_learn_classes_from_one_another_and_swap,
            weak_supervision.test_an_image_without_boxes_learns_from_the_cross_entropy_alone,
        ),
        oracle=(weak_supervision.test_equals_float64_numpy, weak_supervision.test_equals_that_of_torch),
        mask=(weak_supervision.test_a_batch_is_averaged_over_the_images_that_count,),
        gradient=(
            weak_supervision.test_gradients_are_stopped_exactly_at_the_soft_labels_and_at_labels_and_masks,
            weak_supervision.test_the_gradient_of_the_masks_equals_finite_differences,
        ),
        numerics=(
            weak_supervision.test_large_logits_stay_exact_and_their_gradient_useful,
            weak_supervision.test_bfloat16_is_computed_in_float32_and_nan_is_not_hidden,
        ),
        transforms=(weak_supervision.test_transforms_and_eight_devices_change_nothing,),
    ),
}

COMPOSED: dict[Callable, Row] = {
    losses.linear_contrast: Row(
        hand=(contrast.test_hand_values,),
        law=(
            contrast.test_each_position_maximises_a_reward_under_a_kl,
            contrast.test_equal_models_leave_the_first_and_the_floor,
            contrast.test_stores_no_logits,
        ),
        oracle=(contrast.test_equals_float64_numpy,),
        mask=(contrast.test_what_has_no_weight_may_be_nan_and_no_weight_gives_zero,),
        gradient=(contrast.test_gradient_equals_finite_differences_and_none_reaches_the_models,),
        numerics=(
            contrast.test_large_logits_stay_finite_and_heads_may_be_padded,
            contrast.test_bfloat16_is_computed_in_float32,
        ),
        transforms=(contrast.test_transforms_change_nothing, contrast.test_eight_devices_equal_one),
    ),
}

MASKED = (
    reducer.test_what_is_masked_may_be_nan_in_value_and_gradient,
    reducer.test_an_empty_mask_gives_zero_and_a_zero_gradient,
)
PADDED = (
    reducer.test_weights_sum_to_one_and_are_zero_where_masked,
    reducer.test_padding_changes_nothing,
    reducer.test_nothing_to_count_gives_weights_of_zero_and_a_zero_gradient,
)
TRANSFORMED = (reducer.test_transforms_change_nothing, reducer.test_eight_devices_change_nothing)


def masked(*, law: tuple[Callable, ...], gradient: tuple[Callable, ...]) -> Row:
    """A mean, or what becomes one, of values under a mask."""
    return Row(
        hand=(reducer.test_hand_values_of_tokens,),
        law=law,
        oracle=(
            reducer.test_the_mask_equals_the_subset,
            reducer.test_large_values_and_bfloat16_ones_are_averaged_as_float32_would,
        ),
        mask=MASKED,
        gradient=gradient,
        numerics=(reducer.test_large_values_and_bfloat16_ones_are_averaged_as_float32_would,),
        transforms=(reducer.test_transforms_of_masked_values_change_nothing,),
    )


def weighted(*, law: tuple[Callable, ...]) -> Row:
    """Weights of sequences or examples, or their count."""
    return Row(
        hand=(reducer.test_hand_values_of_sequence_and_example_weights,),
        law=(reducer.test_micro_batches_add_up, reducer.test_equal_importance_is_none, *law),
        oracle=(
            reducer.test_sequence_and_example_weights_equal_float64_numpy,
            reducer.test_importance_weighs_sequences_and_examples_though_it_sums_to_less_than_one,
        ),
        mask=PADDED,
        gradient=(
            reducer.test_gradients_are_the_weights,
            reducer.test_gradients_to_importance_equal_finite_differences,
        ),
        numerics=(
            reducer.test_bfloat16_importance_is_summed_in_float32_and_float64_is_kept,
            reducer.test_nothing_of_importance_gives_weights_of_zero,
        ),
        transforms=TRANSFORMED,
    )


EXAMPLES_LAW = (
    reducer.test_packed_equals_unpacked,
    reducer.test_ids_need_neither_order_nor_sign,
    reducer.test_micro_batches_of_weighted_examples_add_up,
)

REDUCE: dict[Callable, Row] = {
    losses.masked_mean: masked(
        law=(reducer.test_parts_add_up_to_the_whole,),
        gradient=(reducer.test_masked_mean_has_the_gradient_of_its_finite_differences,),
    ),
    reduce.masked_sum: masked(
        law=(reducer.test_parts_add_up_to_the_whole,),
        gradient=(reducer.test_masked_mean_has_the_gradient_of_its_finite_differences,),
    ),
    reduce.reported: masked(
        law=(reducer.test_a_reported_mean_has_no_gradient,),
        gradient=(reducer.test_a_reported_mean_has_no_gradient,),
    ),
    reduce.mean_weights: Row(
        hand=(reducer.test_hand_values_of_tokens, reducer.test_a_count_below_one_divides_as_well),
        law=(reducer.test_weights_of_parts_make_the_mean_of_the_whole, reducer.test_micro_batches_add_up),
        oracle=(reducer.test_weights_of_parts_make_the_mean_of_the_whole,),
        mask=PADDED,
        gradient=Omitted(because="a mask and a count have no gradient"),
        numerics=(reducer.test_bfloat16_importance_is_summed_in_float32_and_float64_is_kept,),
        transforms=TRANSFORMED,
    ),
    reduce.sequence_mean_weights: weighted(law=(reducer.test_one_example_a_row_is_a_sequence,)),
    reduce.sequence_count: weighted(law=(reducer.test_one_example_a_row_is_a_sequence,)),
    reduce.example_mean_weights: weighted(law=EXAMPLES_LAW),
    reduce.example_count: weighted(law=EXAMPLES_LAW),
    reduce.segment_reduce: Row(
        hand=(segments.test_hand_values,),
        law=(segments.test_packing_changes_nothing,),
        oracle=(segments.test_equals_float64_numpy,),
        mask=(segments.test_what_is_masked_may_be_nan_and_nothing_gives_zero,),
        gradient=(segments.test_gradient_equals_finite_differences,),
        numerics=(segments.test_bfloat16_is_summed_in_float32_and_float64_is_kept,),
        transforms=(segments.test_transforms_and_eight_devices_change_nothing,),
    ),
}
