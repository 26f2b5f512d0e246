"""The rows of `jaxkd.alignment`."""

from collections.abc import Callable

from jaxkd.alignment import cross_model_attention, edit_distance
from jaxkd.kernels.linear import minimum_edit
from tests.alignment import test_cross_model_attention as tests
from tests.alignment import test_edit_distance as edits
from tests.kernels.linear import test_minimum_edit as mined
from tests.properties.row import Omitted, Row

HOST = Omitted(because="integers on the host, when data are prepared")
UNMASKED = Omitted(because="its arguments have no positions to mask")


def attention(*, law: tuple[Callable, ...]) -> Row:
    """Tests that the pieces of cross-model attention have in common, and the laws of each."""
    return Row(
        hand=(tests.test_hand_values,),
        law=law,
        oracle=(
            tests.test_weights_and_states_equal_float64_numpy,
            tests.test_the_loss_of_dskd_equals_float64_numpy,
        ),
        mask=(
            tests.test_what_is_masked_does_not_matter,
            tests.test_masked_targets_may_be_nan,
            tests.test_rows_are_their_own_batch_and_padding_changes_nothing,
            tests.test_nothing_to_look_at_gives_zero_and_a_zero_gradient,
        ),
        gradient=(
            tests.test_gradients_of_the_pieces_equal_finite_differences,
            tests.test_gradients_of_the_loss_equal_finite_differences,
            tests.test_gradients_reach_what_dskd_trains_and_are_exactly_zero_elsewhere,
        ),
        numerics=(
            tests.test_large_scores_and_equal_values_are_finite,
            tests.test_nan_at_a_used_target_is_not_hidden,
            tests.test_bfloat16_is_computed_in_float32_and_float64_is_kept,
        ),
        transforms=(tests.test_jit_vmap_and_eight_devices_change_nothing,),
    )


PACKED = tests.test_a_packed_row_is_its_examples


def edited(*, law: tuple[Callable, ...], oracle: tuple[Callable, ...]) -> Row:
    """A function of the host."""
    return Row(
        hand=(edits.test_hand_values,),
        law=law,
        oracle=oracle,
        mask=UNMASKED,
        gradient=HOST,
        numerics=HOST,
        transforms=HOST,
    )


MINED = Row(
    hand=(mined.test_hand_values,),
    law=(
        mined.test_the_models_of_one_vocabulary_and_one_tokenization_have_no_divergence,
        mined.test_rows_are_parts_that_add_up,
        mined.test_stores_no_logits,
    ),
    oracle=(mined.test_equals_float64_numpy,),
    mask=(mined.test_what_is_masked_does_not_matter_and_nothing_gives_zero,),
    gradient=(mined.test_gradient_equals_finite_differences_and_none_reaches_the_teacher,),
    numerics=(mined.test_large_logits_and_bfloat16_are_finite_and_close,),
    transforms=(
        mined.test_eight_devices_and_eager_evaluation_change_nothing,
        mined.test_vmap_equals_the_rows,
    ),
)

ALIGNMENTS: dict[Callable, Row] = {
    cross_model_attention.attention_weights: attention(
        law=(tests.test_rows_add_up_to_one_and_masked_targets_get_nothing, PACKED)
    ),
    cross_model_attention.attend: attention(law=(PACKED,)),
    cross_model_attention.normalise: attention(
        law=(PACKED, tests.test_one_example_without_padding_is_normalised_as_the_reference_does)
    ),
    edit_distance.edit_distances: edited(
        law=(edits.test_a_distance_is_one,),
        oracle=(edits.test_distances_equal_the_recurrence, edits.test_patterns_of_exactly_64_and_65_bytes),
    ),
    edit_distance.edit_costs: edited(
        law=(edits.test_a_distance_is_one,), oracle=(edits.test_distances_equal_the_recurrence,)
    ),
    edit_distance.nearest_texts: edited(
        law=(edits.test_the_nearest_text_equals_brute_force_and_is_the_first_of_equals,),
        oracle=(edits.test_the_nearest_text_equals_brute_force_and_is_the_first_of_equals,),
    ),
    edit_distance.warped: edited(
        law=(
            edits.test_the_path_is_the_cheapest_and_monotone,
            edits.test_equal_paths_step_on_both_sides_first,
            edits.test_equal_steps_on_one_side_are_the_teacher_s,
            edits.test_a_sequence_is_aligned_with_itself,
        ),
        oracle=(edits.test_the_path_is_the_cheapest_and_monotone,),
    ),
    edit_distance.aligned_positions: edited(
        law=(edits.test_a_sequence_is_aligned_with_itself,),
        oracle=(edits.test_positions_are_aligned_one_to_one_and_by_the_mapping,),
    ),
    minimum_edit.moved_head: MINED,
    minimum_edit.linear_minimum_edit: MINED,
}
