"""The rows of `jaxkd.losses.divergence`."""

from collections.abc import Callable

from jaxkd import losses
from tests.losses.divergence import test_ab_divergence as alpha_beta
from tests.losses.divergence import test_adaptive as adaptive
from tests.losses.divergence import test_distance as distance
from tests.losses.divergence import test_every_divergence as every
from tests.losses.divergence import test_kl as kl
from tests.losses.divergence import test_mixture as mixture
from tests.properties.row import Row


def row(
    *,
    hand: Callable,
    law: tuple[Callable, ...],
    mask: tuple[Callable, ...] = (),
    gradient: tuple[Callable, ...] = (every.test_second_derivatives_equal_finite_differences,),
    numerics: tuple[Callable, ...] = (),
) -> Row:
    """Tests that all divergences have in common, and further ones of each."""
    mirrored = every.test_gradient_to_both_gives_the_teacher_the_gradient_of_the_mirror
    to_both = () if adaptive.test_the_share_has_no_gradient in gradient else (mirrored,)
    return Row(
        hand=(hand,),
        law=(every.test_is_zero_between_equals_and_ignores_a_constant, *law),
        oracle=(every.test_equals_float64_numpy,),
        mask=(every.test_minus_infinity_on_both_sides_is_a_token_that_does_not_exist, *mask),
        gradient=(every.test_gradient, *to_both, *gradient),
        numerics=(
            every.test_large_logits_stay_finite,
            every.test_bfloat16_logits_are_compared_in_float32,
            every.test_float64_is_kept,
            every.test_nan_is_not_hidden,
            every.test_minus_infinity_on_one_side_is_a_probability_of_zero,
            *numerics,
        ),
        transforms=(every.test_transforms_change_nothing, every.test_eight_devices_change_nothing),
    )


MIRRORED = every.test_exchanged_sides_are_the_mirror
SUMMED = every.test_summands_and_shares_make_the_divergence
BOUNDED = every.test_stays_below_its_bound_where_nothing_is_shared
TWICE = every.test_second_derivatives_equal_finite_differences
LACKING = kl.test_only_the_distribution_that_is_averaged_over_may_lack_a_token
ENDS = alpha_beta.test_the_kl_divergences_are_its_ends_in_value_and_gradient
UNSKEWED = mixture.test_no_skew_is_the_kl_itself_in_value_and_gradient
NOTHING_SHARED = mixture.test_what_shares_nothing_reaches_the_bounds

DIVERGENCES: dict[Callable, Row] = {
    losses.forward_kl: row(
        hand=kl.test_hand_values,
        law=(MIRRORED, SUMMED, ENDS, UNSKEWED),
        gradient=(kl.test_gradients_have_their_closed_forms, TWICE),
        numerics=(LACKING,),
    ),
    losses.reverse_kl: row(
        hand=kl.test_hand_values,
        law=(MIRRORED, SUMMED, ENDS, UNSKEWED),
        gradient=(kl.test_gradients_have_their_closed_forms, TWICE),
        numerics=(LACKING,),
    ),
    losses.symmetric_kl: row(hand=kl.test_hand_values, law=(MIRRORED, SUMMED), numerics=(LACKING,)),
    losses.jensen_shannon: row(
        hand=mixture.test_hand_values,
        law=(
            MIRRORED,
            SUMMED,
            BOUNDED,
            NOTHING_SHARED,
            mixture.test_jensen_shannon_divided_by_the_vanishing_share_is_a_kl,
        ),
    ),
    losses.skew_forward_kl: row(
        hand=mixture.test_hand_values, law=(MIRRORED, SUMMED, BOUNDED, NOTHING_SHARED, UNSKEWED)
    ),
    losses.skew_reverse_kl: row(
        hand=mixture.test_hand_values, law=(MIRRORED, SUMMED, BOUNDED, NOTHING_SHARED, UNSKEWED)
    ),
    losses.total_variation: row(
        hand=distance.test_hand_values,
        law=(MIRRORED, SUMMED, BOUNDED, distance.test_no_matching_is_better_than_by_rank),
    ),
    losses.wasserstein_sorted: row(
        hand=distance.test_hand_values,
        law=(
            MIRRORED,
            BOUNDED,
            distance.test_ranks_ignore_which_token_is_which,
            distance.test_no_matching_is_better_than_by_rank,
        ),
        mask=(distance.test_a_shorter_vocabulary_is_padded_with_impossible_tokens,),
    ),
    losses.alpha_beta: row(
        hand=alpha_beta.test_hand_values,
        law=(MIRRORED, SUMMED, BOUNDED, ENDS, alpha_beta.test_an_exponent_of_zero_is_the_limit_of_the_formula),
        numerics=(alpha_beta.test_is_infinite_where_the_matching_kl_is,),
    ),
    losses.adaptive_kl: row(
        hand=adaptive.test_hand_value,
        law=(
            adaptive.test_all_head_is_forward_and_all_tail_is_reverse,
            adaptive.test_lies_between_the_two,
        ),
        gradient=(adaptive.test_the_share_has_no_gradient,),
        numerics=(adaptive.test_equal_distributions_have_a_finite_gradient,),
    ),
}
