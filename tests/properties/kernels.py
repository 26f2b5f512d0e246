"""The rows of `jaxkd.kernels`."""

from collections.abc import Callable

from jaxkd import kernels
from tests.kernels import (
    test_check_divergence,
    test_explicit_mesh,
    test_log_probs,
    test_masks,
    test_memory,
    test_mesh,
    test_numerics,
    test_rank_distance,
    test_top_k,
    test_transforms,
)
from tests.kernels.linear import test_divergence
from tests.kernels.softmax import test_head_logits, test_hybrid
from tests.properties.row import Omitted, Row

MESH = (
    test_mesh.test_equals_one_device,
    test_mesh.test_equals_one_device_without_jit,
    test_mesh.test_what_the_mesh_does_not_divide_stays_whole,
)

CHECK = Omitted(because="it checks another function, and computes nothing")

KERNELS: dict[Callable, Row] = {
    kernels.linear_divergence: Row(
        hand=(test_divergence.test_hand_value,),
        law=(
            test_divergence.test_equal_models_have_no_divergence_and_no_gradient,
            test_divergence.test_no_size_of_a_part_changes_anything,
            test_divergence.test_any_leading_shape_is_a_flat_list,
            test_divergence.test_heads_of_different_lengths_are_one_vocabulary,
            test_top_k.test_all_tokens_through_hidden_states_are_the_whole_divergence,
            test_memory.test_no_divergence_stores_the_logits,
        ),
        oracle=(
            test_divergence.test_equals_float64_numpy,
            test_divergence.test_equals_float64_numpy_without_soft_cap_and_bias,
            test_divergence.test_without_labels_only_the_divergence_counts,
        ),
        mask=(
            test_masks.test_what_is_masked_does_not_matter,
            test_masks.test_a_position_with_a_label_alone_may_have_any_teacher,
            test_masks.test_padded_equals_truncated,
            test_masks.test_an_empty_mask_gives_zero_and_a_zero_gradient,
        ),
        gradient=(
            test_divergence.test_gradient_equals_finite_differences,
            test_divergence.test_gradients_to_both_sides_equal_the_references,
            test_divergence.test_no_gradient_reaches_the_teacher_unless_asked,
            test_divergence.test_only_the_total_has_a_gradient_and_none_reaches_the_weights,
            test_transforms.test_forward_mode_of_a_kernel_is_refused,
            test_transforms.test_a_second_derivative_of_a_kernel_is_right_where_there_is_one,
        ),
        numerics=(
            test_numerics.test_large_logits_equal_float64_numpy,
            test_numerics.test_logits_far_from_zero_are_compared_as_if_they_were_near,
            test_numerics.test_a_small_divergence_survives_an_offset_between_the_models,
            test_numerics.test_a_token_whose_probability_underflows_keeps_its_cost,
            test_numerics.test_bfloat16_inputs_keep_a_small_divergence,
            test_numerics.test_bfloat16_gradients_do_not_depend_on_the_number_of_parts,
            test_numerics.test_float64_is_kept,
            test_numerics.test_nan_at_a_used_position_is_not_hidden,
            test_numerics.test_zeros_and_a_vocabulary_of_one_token_have_a_finite_gradient,
            test_mesh.test_a_vocabulary_of_151_936_tokens_is_finite_and_equal,
        ),
        transforms=(
            test_transforms.test_jit_changes_nothing,
            test_transforms.test_vmap_equals_the_loop,
            test_transforms.test_a_temperature_can_be_traced,
            *MESH,
            test_explicit_mesh.test_equals_one_device,
            test_mesh.test_axes_that_the_caller_made_manual_are_left_alone,
            test_mesh.test_only_heads_are_gathered,
        ),
    ),
    kernels.linear_cross_entropy: Row(
        hand=(test_divergence.test_hand_value,),
        law=(
            test_divergence.test_the_likeliest_token_is_the_first_of_equals,
            test_memory.test_cross_entropy_stores_no_logits,
        ),
        oracle=(test_divergence.test_cross_entropy_alone_equals_float64_numpy_and_the_mixed_loss,),
        mask=(test_masks.test_masks_of_cross_entropy_alone,),
        gradient=(test_divergence.test_gradient_of_cross_entropy_equals_finite_differences,),
        numerics=(
            test_numerics.test_cross_entropy_alone_is_exact_in_every_precision,
            test_numerics.test_nan_is_not_hidden_from_the_cross_entropy,
        ),
        transforms=(test_transforms.test_transforms_of_cross_entropy_change_nothing, *MESH),
    ),
    **dict.fromkeys(
        (kernels.linear_log_probs, kernels.linear_divergence_values),
        Row(
            hand=(test_log_probs.test_hand_values,),
            law=(test_log_probs.test_stores_no_logits,),
            oracle=(test_log_probs.test_equals_float64_numpy,),
            mask=(test_log_probs.test_what_is_masked_does_not_matter_and_nothing_gives_zero,),
            gradient=(
                test_log_probs.test_the_gradient_is_that_of_all_logits,
                test_log_probs.test_gradient_equals_finite_differences,
            ),
            numerics=(
                test_log_probs.test_large_logits_are_finite_and_nan_is_not_hidden,
                test_log_probs.test_bfloat16_is_computed_in_float32_and_float64_is_kept,
            ),
            transforms=(test_log_probs.test_jit_and_vmap_change_nothing, test_log_probs.test_equals_one_device),
        ),
    ),
    kernels.check_divergence: Row(
        hand=CHECK,
        law=(
            test_check_divergence.test_the_library_s_own_pass,
            test_check_divergence.test_what_kernels_cannot_compute_is_named,
        ),
        oracle=CHECK,
        mask=CHECK,
        gradient=CHECK,
        numerics=CHECK,
        transforms=CHECK,
    ),
    kernels.linear_argmax: Row(
        hand=(test_divergence.test_the_likeliest_token_by_hand_and_under_every_transform,),
        law=(test_divergence.test_the_likeliest_token_is_the_first_of_equals,),
        oracle=(test_divergence.test_the_likeliest_token_by_hand_and_under_every_transform,),
        mask=(test_divergence.test_the_likeliest_token_by_hand_and_under_every_transform,),
        gradient=Omitted(because="token ids have none"),
        numerics=(test_divergence.test_the_likeliest_token_by_hand_and_under_every_transform,),
        transforms=(test_divergence.test_the_likeliest_token_by_hand_and_under_every_transform,),
    ),
    kernels.linear_rank_distance: Row(
        hand=(test_rank_distance.test_hand_values, test_rank_distance.test_hand_values_of_a_truncated_sort),
        law=(
            test_rank_distance.test_the_bound_holds_and_more_ranks_tighten_it,
            test_rank_distance.test_the_order_of_a_vocabulary_and_what_pads_it_do_not_matter,
            test_rank_distance.test_equal_distributions_have_no_distance_and_no_gradient,
            test_rank_distance.test_all_ranks_are_the_divergence_of_logits,
            test_rank_distance.test_no_size_of_a_chunk_changes_anything,
            test_rank_distance.test_stores_no_logits,
        ),
        oracle=(
            test_rank_distance.test_equals_float64_numpy,
            test_rank_distance.test_the_largest_are_found_among_groups,
        ),
        mask=(
            test_rank_distance.test_what_a_masked_position_holds_does_not_matter,
            test_rank_distance.test_parts_of_a_batch_add_up_and_nothing_gives_zero,
        ),
        gradient=(
            test_rank_distance.test_gradient_equals_finite_differences,
            test_rank_distance.test_only_the_student_and_only_the_total_have_a_gradient,
            test_rank_distance.test_a_token_in_the_tail_is_pushed_as_the_tail_is,
            test_rank_distance.test_tokens_of_equal_probability_have_equal_gradients,
        ),
        numerics=(
            test_rank_distance.test_large_logits_and_a_point_mass_are_finite_and_equal_float64_numpy,
            test_rank_distance.test_nan_at_a_used_position_is_not_hidden,
            test_rank_distance.test_bfloat16_is_compared_in_float32,
            test_rank_distance.test_float64_is_sorted_as_float64,
        ),
        transforms=(
            test_rank_distance.test_jit_and_vmap_change_nothing,
            test_rank_distance.test_equals_one_device,
        ),
    ),
    kernels.linear_hybrid_distance: Row(
        hand=(test_hybrid.test_hand_values,),
        law=(
            test_hybrid.test_without_shared_tokens_it_is_the_rank_distance_and_with_all_the_divergence,
            test_hybrid.test_a_number_that_multiplies_both_multiplies_the_distance,
            test_hybrid.test_the_bound_holds,
            test_hybrid.test_no_size_of_a_chunk_and_no_row_behind_the_vocabulary_changes_anything,
            test_hybrid.test_stores_no_logits,
        ),
        oracle=(test_hybrid.test_equals_float64_numpy,),
        mask=(test_hybrid.test_what_a_masked_position_holds_does_not_matter_and_nothing_gives_zero,),
        gradient=(
            test_hybrid.test_the_gradient_is_that_of_all_logits_and_none_reaches_the_teacher,
            test_hybrid.test_gradient_equals_finite_differences,
        ),
        numerics=(
            test_hybrid.test_large_logits_and_impossible_conditions_are_finite_and_nan_is_not_hidden,
            test_hybrid.test_bfloat16_is_compared_in_float32_and_float64_is_kept,
        ),
        transforms=(test_hybrid.test_jit_and_vmap_change_nothing, test_hybrid.test_equals_one_device),
    ),
    kernels.head_logits: Row(
        hand=(test_head_logits.test_hand_value,),
        law=(
            test_head_logits.test_rows_beyond_the_vocabulary_are_impossible_and_get_no_gradient,
            test_head_logits.test_a_soft_cap_bounds_the_logits_and_a_large_one_does_not_matter,
        ),
        oracle=(test_head_logits.test_equals_float64_numpy,),
        mask=(test_head_logits.test_rows_beyond_the_vocabulary_are_impossible_and_get_no_gradient,),
        gradient=(test_head_logits.test_gradient,),
        numerics=(
            test_head_logits.test_large_and_zero_hiddens_have_finite_logits_and_gradients,
            test_head_logits.test_bfloat16_is_multiplied_out_in_float32_and_float64_is_kept,
        ),
        transforms=(test_head_logits.test_transforms_change_nothing,),
    ),
    kernels.top_k: Row(
        hand=(test_top_k.test_hand_values,),
        law=(
            test_top_k.test_probabilities_and_tail_add_up_to_one,
            test_top_k.test_a_record_that_was_stored_gives_the_same_bits,
        ),
        oracle=(test_top_k.test_the_record_equals_float64_numpy,),
        mask=(test_top_k.test_rows_that_are_no_tokens_are_in_no_tail,),
        gradient=Omitted(because="a record of a frozen teacher: `top_k_divergence` stops its gradient"),
        numerics=(
            test_top_k.test_large_logits_equal_float64_numpy,
            test_top_k.test_uniform_and_one_token_distributions_have_a_finite_gradient,
            test_top_k.test_bfloat16_is_compared_in_float32_and_float64_is_kept,
        ),
        transforms=(test_top_k.test_transforms_change_nothing,),
    ),
    kernels.top_k_divergence: Row(
        hand=(test_top_k.test_hand_values_of_the_divergence,),
        law=(
            test_top_k.test_all_tokens_are_the_whole_divergence_in_value_and_gradient,
            test_top_k.test_merging_events_never_adds_to_an_f_divergence,
            test_top_k.test_what_forward_kl_leaves_out_is_what_the_tails_disagree_on,
        ),
        oracle=(test_top_k.test_equals_float64_numpy_over_the_events,),
        mask=(
            test_top_k.test_what_is_no_id_pads_a_shorter_record,
            test_top_k.test_rows_that_are_no_tokens_are_in_no_tail,
            test_top_k.test_what_a_masked_position_holds_does_not_matter,
        ),
        gradient=(
            test_top_k.test_gradient_equals_finite_differences_and_none_reaches_the_record,
            test_top_k.test_a_token_in_the_tail_gets_its_share_of_the_gradient,
        ),
        numerics=(
            test_top_k.test_large_logits_equal_float64_numpy,
            test_top_k.test_uniform_and_one_token_distributions_have_a_finite_gradient,
            test_top_k.test_bfloat16_is_compared_in_float32_and_float64_is_kept,
        ),
        transforms=(test_top_k.test_transforms_change_nothing, test_top_k.test_eight_devices_change_nothing),
    ),
}
