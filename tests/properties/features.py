"""The rows of `jaxkd.losses.feature`."""

from collections.abc import Callable

from jaxkd.losses import feature
from tests.losses.feature import test_activation as activation
from tests.losses.feature import test_attention as attention
from tests.losses.feature import test_channelwise as channelwise
from tests.losses.feature import test_contrastive as contrastive
from tests.losses.feature import test_every_feature_loss as every
from tests.losses.feature import test_head_reuse as head_reuse
from tests.losses.feature import test_hidden as hidden
from tests.losses.feature import test_relational as relational
from tests.losses.feature import test_similarity as similarity
from tests.properties.row import Row

ROWS_MASKED = (every.test_masked_rows_are_as_if_cut_off, every.test_no_rows_cost_nothing)


def row(
    *,
    hand: Callable,
    law: tuple[Callable, ...],
    mask: tuple[Callable, ...],
    oracle: tuple[Callable, ...] = (),
    gradient: tuple[Callable, ...] = (),
    numerics: tuple[Callable, ...] = (),
) -> Row:
    """Tests that all feature losses have in common, and further ones of each."""
    return Row(
        hand=(hand,),
        law=law,
        oracle=(every.test_equals_float64_numpy, *oracle),
        mask=mask,
        gradient=(every.test_gradient, *gradient),
        numerics=(
            every.test_small_and_large_values_stay_accurate,
            every.test_zeros_have_a_finite_gradient,
            every.test_bfloat16_is_compared_in_float32,
            every.test_float64_is_kept,
            every.test_nan_is_not_hidden,
            *numerics,
        ),
        transforms=(every.test_transforms_change_nothing, every.test_eight_devices_change_nothing),
    )


KEYS_MASKED = (attention.test_masked_keys_are_as_if_cut_off, attention.test_a_query_without_keys_costs_nothing)
HEADS = attention.test_means_over_heads_ignore_their_order_and_number
EQUALS = attention.test_is_zero_between_equals_and_positive_otherwise
CONSTANT = attention.test_kl_ignores_a_constant_and_mse_does_not
RELATIONS_KEPT = (
    relational.test_rotation_shift_and_scale_keep_the_relations,
    relational.test_the_order_of_the_rows_does_not_count,
    every.test_the_scale_of_either_side_does_not_count,
)

FEATURES: dict[Callable, Row] = {
    feature.hidden_mse: row(
        hand=hidden.test_hand_values,
        law=(
            hidden.test_equal_states_have_distance_zero,
            hidden.test_normalized_mse_is_the_cosine_distance_times_two_over_the_width,
        ),
        mask=(hidden.test_masked_positions_are_as_if_cut_off,),
        gradient=(hidden.test_projection_maps_the_student_and_is_trained,),
        numerics=(
            hidden.test_projection_of_bfloat16_states_is_summed_in_float32,
            hidden.test_a_vector_of_zeros_has_no_direction,
        ),
    ),
    feature.hidden_cosine: row(
        hand=hidden.test_hand_values,
        law=(
            hidden.test_equal_states_have_distance_zero,
            hidden.test_normalized_mse_is_the_cosine_distance_times_two_over_the_width,
            every.test_the_scale_of_either_side_does_not_count,
        ),
        mask=(hidden.test_masked_positions_are_as_if_cut_off,),
        gradient=(hidden.test_projection_maps_the_student_and_is_trained,),
        numerics=(
            hidden.test_lengths_neither_overflow_nor_vanish,
            hidden.test_a_vector_of_zeros_has_no_direction,
        ),
    ),
    feature.attention_transfer: row(
        hand=activation.test_hand_values,
        law=(
            activation.test_order_sign_and_number_of_channels_do_not_count,
            activation.test_position_counts,
            every.test_the_scale_of_either_side_does_not_count,
        ),
        mask=(activation.test_masked_images_are_as_if_cut_off,),
        numerics=(activation.test_a_map_of_zeros_costs_one_and_has_no_gradient,),
    ),
    feature.channelwise_kd: row(
        hand=channelwise.test_hand_values,
        law=(
            channelwise.test_is_the_forward_kl_over_the_positions_of_each_channel,
            channelwise.test_a_constant_of_a_channel_and_the_order_of_channels_and_positions_do_not_count,
            channelwise.test_temperature_squared_times_it_tends_to_the_halved_squares_of_centred_maps,
        ),
        oracle=(channelwise.test_equals_that_of_torch_over_the_squared_temperature,),
        mask=(
            channelwise.test_masked_positions_are_as_if_cut_off,
            channelwise.test_an_image_without_positions_costs_nothing,
        ),
    ),
    feature.head_reuse_kd: row(
        hand=head_reuse.test_hand_values,
        law=(
            head_reuse.test_equal_features_cost_nothing_and_each_level_counts_the_same,
            head_reuse.test_a_global_classifier_reads_vectors,
            head_reuse.test_another_distance_is_averaged_over_whatever_it_returns,
        ),
        oracle=(head_reuse.test_equals_float64_numpy_with_a_convolution_that_all_levels_share,),
        mask=(head_reuse.test_images_do_not_touch_one_another,),
        gradient=(
            head_reuse.test_gradients_reach_the_student_alone,
            head_reuse.test_the_head_stays_frozen_where_it_also_makes_the_teachers_outputs,
        ),
    ),
    feature.attention_mse: row(hand=attention.test_hand_values, law=(EQUALS, CONSTANT, HEADS), mask=KEYS_MASKED),
    feature.attention_kl: row(
        hand=attention.test_hand_values,
        law=(EQUALS, CONSTANT, HEADS, attention.test_kl_is_forward_kl_over_the_keys),
        mask=(*KEYS_MASKED, attention.test_a_causal_mask_is_the_same_as_scores_of_minus_infinity),
        numerics=(attention.test_kl_is_infinite_where_only_the_student_cannot_attend,),
    ),
    feature.value_relation_kl: row(
        hand=attention.test_hand_values,
        law=(attention.test_a_rotation_of_the_values_changes_no_relation,),
        mask=(
            attention.test_masked_positions_are_related_to_none,
            attention.test_a_query_without_keys_costs_nothing,
        ),
    ),
    feature.rkd_distance: row(
        hand=relational.test_hand_values,
        law=(*RELATIONS_KEPT, relational.test_distances_beyond_the_bend_of_huber_cost_their_size),
        mask=ROWS_MASKED,
        numerics=(
            relational.test_close_rows_far_from_the_origin_keep_their_distances,
            relational.test_equal_rows_have_a_finite_gradient,
        ),
    ),
    feature.rkd_angle: row(
        hand=relational.test_hand_values,
        law=RELATIONS_KEPT,
        mask=ROWS_MASKED,
        numerics=(
            relational.test_close_rows_far_from_the_origin_keep_their_distances,
            relational.test_equal_rows_have_a_finite_gradient,
        ),
    ),
    feature.similarity_preserving: row(
        hand=similarity.test_hand_values,
        law=(
            similarity.test_equal_similarities_cost_nothing,
            similarity.test_similarity_preserving_stays_below_four_over_n,
        ),
        mask=ROWS_MASKED,
    ),
    feature.cka_distance: row(
        hand=similarity.test_hand_values,
        law=(
            similarity.test_cka_ignores_rotation_shift_and_scale,
            similarity.test_cka_of_single_features_is_the_squared_correlation,
            similarity.test_two_rows_always_agree,
        ),
        mask=(*ROWS_MASKED, similarity.test_too_few_rows_cost_nothing),
        numerics=(
            similarity.test_a_large_mean_does_not_cancel,
            similarity.test_a_constant_side_costs_one,
        ),
    ),
    feature.info_nce: row(
        hand=contrastive.test_hand_values,
        law=(
            contrastive.test_costs_the_log_of_the_candidates_where_none_stands_out,
            contrastive.test_a_bank_is_as_good_as_a_larger_batch,
            contrastive.test_rows_of_the_same_class_are_no_negatives,
        ),
        mask=(*ROWS_MASKED, contrastive.test_no_gradient_reaches_the_projection_from_masked_rows),
        gradient=(contrastive.test_gradients_reach_the_student_and_the_projection_only,),
    ),
}
