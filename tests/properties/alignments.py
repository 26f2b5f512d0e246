"""The rows of `jaxkd.alignment`."""

from collections.abc import Callable

from jaxkd.alignment import cross_model_attention
from tests.alignment import test_cross_model_attention as tests
from tests.properties.row import Row


def attention(*, law: tuple[Callable, ...]) -> Row:
    """What the pieces of cross-model attention have in common, and the laws of each."""
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

ALIGNMENTS: dict[Callable, Row] = {
    cross_model_attention.attention_weights: attention(
        law=(tests.test_rows_add_up_to_one_and_masked_targets_get_nothing, PACKED)
    ),
    cross_model_attention.attend: attention(law=(PACKED,)),
    cross_model_attention.normalise: attention(
        law=(PACKED, tests.test_one_example_without_padding_is_normalised_as_the_reference_does)
    ),
}
