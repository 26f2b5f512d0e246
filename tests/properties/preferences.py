"""The rows of `jaxkd.losses.preference`."""

from collections.abc import Callable

from jaxkd.losses import preference
from tests.losses.preference import test_kto as kto
from tests.losses.preference import test_pairs as pairs
from tests.losses.preference import test_tabular as tabular
from tests.properties.row import Row


def pair(*, hand: Callable = pairs.test_hand_values, law: tuple[Callable, ...] = ()) -> Row:
    """A loss of two answers."""
    return Row(
        hand=(hand,),
        law=(
            pairs.test_exchanged_answers_are_the_opposite_label_and_twice_is_none,
            pairs.test_a_better_pair_costs_less,
            *law,
        ),
        oracle=(pairs.test_equals_float64_numpy,),
        mask=(pairs.test_what_a_mask_leaves_out_does_not_matter,),
        gradient=(pairs.test_gradient_equals_finite_differences,),
        numerics=(
            pairs.test_far_apart_stays_finite_in_value_and_gradient,
            pairs.test_bfloat16_is_computed_in_float32_and_nan_is_not_hidden,
        ),
        transforms=(pairs.test_transforms_and_eight_devices_change_nothing,),
    )


ANSWERS = Row(
    hand=(kto.test_hand_values,),
    law=(kto.test_the_two_sides_of_an_answer_share_its_weight,),
    oracle=(kto.test_equals_float64_numpy,),
    mask=(kto.test_what_is_masked_does_not_matter_and_nothing_gives_zero,),
    gradient=(kto.test_gradient_equals_finite_differences_and_none_reaches_the_baseline,),
    numerics=(kto.test_far_away_stays_finite_and_bfloat16_is_computed_in_float32,),
    transforms=(kto.test_transforms_and_eight_devices_change_nothing,),
)

PREFERENCES: dict[Callable, Row] = {
    preference.dpo_loss: pair(
        law=(
            pairs.test_the_gradient_of_dpo_at_the_start_is_half_of_beta,
            tabular.test_log_ratios_are_rewards,
            tabular.test_a_model_and_its_reverse_are_twice_the_reward_apart,
        )
    ),
    preference.robust_dpo_loss: pair(law=(pairs.test_robust_is_unbiased_under_labels_turned_round_by_chance,)),
    preference.hinge_loss: pair(),
    preference.ipo_loss: pair(law=(pairs.test_ipo_falls_up_to_its_margin_and_rises_beyond,)),
    preference.apo_zero_loss: pair(),
    preference.apo_down_loss: pair(),
    preference.simpo_loss: pair(
        hand=pairs.test_hand_values_of_means_over_tokens, law=(pairs.test_simpo_without_a_margin_is_dpo_of_log_probs,)
    ),
    preference.orpo_loss: pair(hand=pairs.test_hand_values_of_means_over_tokens),
    preference.kto_loss: ANSWERS,
    preference.kto_baseline: ANSWERS,
}
