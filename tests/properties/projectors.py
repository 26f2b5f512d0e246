"""The rows of `jaxkd.projector`."""

from collections.abc import Callable

from jaxkd import projector
from tests.projector import test_projector as tests
from tests.properties.row import Omitted, Row

NO_POSITIONS = Omitted(because="its arguments have no positions to mask")
HOST = Omitted(because="NumPy in float64 on the host, at the start of training")

PROJECTORS: dict[Callable, Row] = {
    projector.project: Row(
        hand=(tests.test_project_by_hand_and_onto_itself,),
        law=(tests.test_project_by_hand_and_onto_itself,),
        oracle=(tests.test_project_equals_float64_numpy_with_and_without_bias,),
        mask=(tests.test_what_a_mask_excludes_reaches_neither_values_nor_gradients,),
        gradient=(tests.test_project_has_the_gradient_of_a_product,),
        numerics=(
            tests.test_project_of_zero_and_large_hiddens_is_finite,
            tests.test_project_accumulates_in_float32_and_stays_bfloat16,
        ),
        transforms=(tests.test_project_under_jit_and_vmap,),
    ),
    projector.uniform_init: Row(
        hand=(tests.test_uniform_init_has_torchs_bounds_and_spread,),
        law=(tests.test_uniform_init_without_bias_and_with_another_key,),
        oracle=Omitted(because="random draws: their bounds and their spread are checked"),
        mask=NO_POSITIONS,
        gradient=Omitted(because="it takes no array"),
        numerics=Omitted(because="it takes no array"),
        transforms=Omitted(because="it takes no array but the key, which JAX's own draws are tested for"),
    ),
    projector.token_rows: Row(
        hand=(tests.test_token_rows_by_count_and_by_ids,),
        law=(
            tests.test_heads_padded_differently_fit_over_the_rows_they_share,
            tests.test_an_overlap_fits_whatever_the_ids_are,
        ),
        oracle=(tests.test_token_rows_by_count_and_by_ids,),
        mask=NO_POSITIONS,
        gradient=Omitted(because="an index into the head, with the gradient of one"),
        numerics=Omitted(because="it copies numbers and computes none"),
        transforms=Omitted(because="the rows are chosen on the host"),
    ),
    projector.centred: Row(
        hand=(tests.test_centred_by_hand_twice_and_under_transforms,),
        law=(tests.test_centred_heads_have_the_same_softmax_and_fit_it_better,),
        oracle=(tests.test_centred_by_hand_twice_and_under_transforms,),
        mask=NO_POSITIONS,
        gradient=(tests.test_centred_by_hand_twice_and_under_transforms,),
        numerics=(
            tests.test_bfloat16_is_centred_in_float32,
            tests.test_centred_by_hand_twice_and_under_transforms,
        ),
        transforms=(tests.test_centred_by_hand_twice_and_under_transforms,),
    ),
    projector.lost_share: Row(
        hand=(tests.test_lost_share_by_hand_and_at_both_ends,),
        law=(tests.test_lost_share_by_hand_and_at_both_ends,),
        oracle=(tests.test_lost_share_is_that_of_many_hidden_states_in_float64,),
        mask=NO_POSITIONS,
        gradient=HOST,
        numerics=(tests.test_lost_share_is_that_of_many_hidden_states_in_float64,),
        transforms=HOST,
    ),
    projector.torch_rtol: Row(
        hand=(tests.test_the_reference_codes_cut_off_is_torchs,),
        law=(tests.test_the_reference_codes_cut_off_is_torchs,),
        oracle=(tests.test_the_reference_codes_cut_off_is_torchs,),
        mask=NO_POSITIONS,
        gradient=Omitted(because="it reads a shape"),
        numerics=Omitted(because="it reads a shape"),
        transforms=Omitted(because="it reads a shape"),
    ),
    projector.ideal_init: Row(
        hand=(tests.test_ideal_init_by_hand,),
        law=(
            tests.test_logits_stay_where_the_other_head_can_say_them,
            tests.test_a_head_onto_itself_is_the_identity,
            tests.test_there_and_back_is_the_identity_for_a_narrow_model_within_a_wide_one,
        ),
        oracle=(tests.test_logits_are_the_least_squares_fit_elsewhere,),
        mask=(tests.test_rows_of_zeros_are_as_if_absent,),
        gradient=HOST,
        numerics=(
            tests.test_a_rank_deficient_head_gets_the_smallest_weight_that_fits,
            tests.test_a_head_of_zeros_gives_zeros,
        ),
        transforms=HOST,
    ),
    **dict.fromkeys(
        (projector.gram_inverse, projector.ideal_step),
        Row(
            hand=(tests.test_gram_inverse_and_ideal_step_by_hand_and_in_float64,),
            law=(
                tests.test_a_head_onto_itself_is_the_identity,
                tests.test_the_cut_off_means_the_same_on_both_routes,
            ),
            oracle=(
                tests.test_gram_inverse_and_ideal_step_by_hand_and_in_float64,
                tests.test_ideal_step_is_within_its_bound_of_the_float64_route,
            ),
            mask=(tests.test_rows_of_zeros_are_as_if_absent,),
            gradient=(tests.test_no_gradient_reaches_either_head_even_where_eigenvalues_coincide,),
            numerics=(
                tests.test_the_size_of_a_head_does_not_matter,
                tests.test_bfloat16_heads_are_multiplied_in_float32,
                tests.test_a_rank_deficient_head_gets_the_smallest_weight_that_fits,
                tests.test_a_head_of_zeros_gives_zeros,
            ),
            transforms=(tests.test_ideal_step_under_jit_and_vmap,),
        ),
    ),
}
