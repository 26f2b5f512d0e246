"""The rows of `jaxkd.dynamics`."""

from collections.abc import Callable

from jaxkd import dynamics
from jaxkd.dynamics.derivatives import triangular
from jaxkd.dynamics.identification import least_squares
from jaxkd.dynamics.identification.sparse_fit import one_standard_error
from tests.dynamics.derivatives import test_fourier_fit as curves
from tests.dynamics.derivatives import test_spectral as spectral
from tests.dynamics.derivatives import test_triangular as triangles
from tests.dynamics.derivatives import test_weak_form as weak
from tests.dynamics.identification import test_identify as identified
from tests.dynamics.identification import test_least_squares as squares
from tests.dynamics.identification import test_library as library
from tests.dynamics.identification import test_parsing as written
from tests.dynamics.identification import test_simplified as shorter
from tests.dynamics.identification import test_sparse_fit as chosen
from tests.dynamics.solvers import test_solve as solved
from tests.dynamics.symbolic import test_penalties as penalties
from tests.dynamics.symbolic import test_search as searched
from tests.dynamics.validation import test_held_out as held
from tests.dynamics.validation import test_hidden_states as before
from tests.dynamics.validation import test_trust as trusted
from tests.properties.row import Omitted, Row

WHOLE_GRID = Omitted(because="takes no mask: a periodic grid has all its points")
WHOLE_ROWS = Omitted(because="takes no mask: a row that is missing is one of zeros, or is left out")
WHOLE_PATH = Omitted(because="takes no mask: a trajectory has all its times")
WORDS = Omitted(because="makes terms, not numbers: their values are those of `values`")
POSITION = Omitted(because="gives a position or a choice, which has no gradient")
HOST = Omitted(because="is a host function: what it compiles has gradients and transforms of its own")
DRAWS = Omitted(because="has the gradient of the fits that it is made of, and none of the choices")


def words() -> Row:
    """Tests of a function that makes terms."""
    return Row(
        hand=(library.test_hand_values,),
        law=(library.test_there_are_as_many_polynomials_as_there_must_be,),
        oracle=(library.test_values_equal_float64_numpy,),
        mask=WORDS,
        gradient=(library.test_gradient,),
        numerics=(library.test_rationals_have_no_pole,),
        transforms=(library.test_transforms_change_nothing,),
    )


def reduced(*, law: Callable, oracle: Callable) -> Row:
    """Tests of a step of the least squares."""
    return Row(
        hand=(squares.test_hand_values,),
        law=(law,),
        oracle=(oracle,),
        mask=(squares.test_rows_of_zeros_say_nothing,),
        gradient=(squares.test_gradient,),
        numerics=(squares.test_near_collinear_terms_are_not_squared, squares.test_what_does_not_fit_is_refused),
        transforms=(squares.test_transforms_change_nothing,),
    )


def penalty(*laws: Callable) -> Row:
    """Tests of a penalty of weights."""
    return Row(
        hand=(penalties.test_hand_values,),
        law=(
            penalties.test_a_sign_changes_nothing_and_a_larger_weight_costs_more,
            penalties.test_of_two_sums_the_half_prefers_the_sparser_and_l1_has_no_choice,
            *laws,
        ),
        oracle=(penalties.test_equal_float64_numpy,),
        mask=Omitted(because="takes no mask: of each weight by itself"),
        gradient=(penalties.test_gradient,),
        numerics=(penalties.test_large_weights_and_single_precision,),
        transforms=(penalties.test_transforms_change_nothing,),
    )


DYNAMICS: dict[Callable, Row] = {
    dynamics.fourier_fit: Row(
        hand=(curves.test_a_cubic_is_its_own_curve,),
        law=(
            curves.test_derivatives_are_those_of_the_curve,
            curves.test_units_and_an_added_cubic_change_only_themselves,
        ),
        oracle=(curves.test_equals_the_definition_in_numpy,),
        mask=(curves.test_masked_samples_are_as_if_cut_off,),
        gradient=(curves.test_gradient,),
        numerics=(
            curves.test_the_noise_is_estimated,
            curves.test_an_exponential_without_noise_is_followed_to_its_ends,
            curves.test_single_precision_is_refused,
        ),
        transforms=(curves.test_transforms_change_nothing,),
    ),
    dynamics.spectral_derivative: Row(
        hand=(spectral.test_hand_values,),
        law=(spectral.test_parts_are_integrated,),
        oracle=(spectral.test_derivatives_equal_float64_numpy,),
        mask=WHOLE_GRID,
        gradient=(spectral.test_gradient,),
        numerics=(
            spectral.test_the_highest_wave_has_no_slope_and_a_curvature,
            spectral.test_single_precision_is_refused,
        ),
        transforms=(spectral.test_transforms_change_nothing,),
    ),
    dynamics.low_pass: Row(
        hand=(spectral.test_hand_values,),
        law=(spectral.test_filtering_twice_is_filtering_once,),
        oracle=(spectral.test_low_pass_and_its_cutoff_equal_float64_numpy,),
        mask=WHOLE_GRID,
        gradient=(spectral.test_gradient,),
        numerics=(spectral.test_single_precision_is_refused,),
        transforms=(spectral.test_transforms_change_nothing,),
    ),
    dynamics.spectral_cutoff: Row(
        hand=(spectral.test_low_pass_and_its_cutoff_equal_float64_numpy,),
        law=Omitted(because="is defined by the error that its oracle computes, and has no other law"),
        oracle=(spectral.test_low_pass_and_its_cutoff_equal_float64_numpy,),
        mask=WHOLE_GRID,
        gradient=POSITION,
        numerics=(spectral.test_single_precision_is_refused,),
        transforms=(spectral.test_transforms_change_nothing,),
    ),
    dynamics.weak_form: Row(
        hand=(weak.test_hand_value,),
        law=(weak.test_a_true_equation_holds_in_every_window,),
        oracle=(weak.test_equals_an_integral_by_scipy,),
        mask=(weak.test_a_window_with_a_missing_sample_is_zeros_and_the_others_are_as_before,),
        gradient=(weak.test_gradient,),
        numerics=(weak.test_white_noise_is_averaged_and_not_amplified,),
        transforms=(weak.test_transforms_change_nothing,),
    ),
    dynamics.window_length: Row(
        hand=(weak.test_windows_grow_with_the_record_up_to_what_moves,),
        law=(weak.test_windows_grow_with_the_record_up_to_what_moves,),
        oracle=Omitted(because="is a rule of thumb, whose definition is its hand values"),
        mask=Omitted(because="takes a number, no array"),
        gradient=POSITION,
        numerics=Omitted(because="takes a number, no array"),
        transforms=Omitted(because="takes a number, no array"),
    ),
    dynamics.polynomials: words(),
    dynamics.trigonometric: words(),
    dynamics.exponentials: words(),
    dynamics.rationals: words(),
    dynamics.values: Row(
        hand=(library.test_hand_values,),
        law=(library.test_values_keep_single_precision,),
        oracle=(library.test_values_equal_float64_numpy,),
        mask=WHOLE_ROWS,
        gradient=(library.test_gradient,),
        numerics=(library.test_rationals_have_no_pole, library.test_values_keep_single_precision),
        transforms=(library.test_transforms_change_nothing,),
    ),
    triangular.triangulated: reduced(
        law=squares.test_reflections_keep_lengths_and_angles, oracle=squares.test_triangles_equal_float64_numpy
    ),
    triangular.back_substituted: Row(
        hand=(triangles.test_hand_values,),
        law=(triangles.test_the_product_is_the_right_hand_side,),
        oracle=(triangles.test_equals_float64_numpy,),
        mask=Omitted(because="takes no mask: a triangle has all its rows"),
        gradient=(triangles.test_gradient,),
        numerics=(triangles.test_a_zero_on_the_diagonal_is_not_finite,),
        transforms=(triangles.test_transforms_change_nothing,),
    ),
    least_squares.triangle: reduced(
        law=squares.test_a_triangle_says_what_the_rows_say, oracle=squares.test_triangles_equal_float64_numpy
    ),
    least_squares.merged_triangle: reduced(
        law=squares.test_parts_merge_into_the_whole_in_any_order, oracle=squares.test_triangles_equal_float64_numpy
    ),
    least_squares.subset_fit: reduced(
        law=squares.test_a_triangle_says_what_the_rows_say, oracle=squares.test_subset_fit_equals_float64_numpy
    ),
    least_squares.independent: Row(
        hand=(squares.test_of_two_terms_that_say_the_same_the_first_is_kept,),
        law=(squares.test_of_two_terms_that_say_the_same_the_first_is_kept,),
        oracle=Omitted(because="is a threshold on a triangle, which has an oracle"),
        mask=WHOLE_ROWS,
        gradient=POSITION,
        numerics=(squares.test_of_two_terms_that_say_the_same_the_first_is_kept,),
        transforms=(squares.test_transforms_change_nothing,),
    ),
    dynamics.sparse_fit: Row(
        hand=(chosen.test_hand_value,),
        law=(chosen.test_units_change_coefficients_and_nothing_else, chosen.test_the_right_terms_are_found),
        oracle=(chosen.test_errors_and_coefficients_equal_float64_numpy,),
        mask=(chosen.test_rows_of_zeros_and_blocks_of_them_change_nothing,),
        gradient=(chosen.test_gradients_reach_the_coefficients,),
        numerics=(chosen.test_a_term_twice_and_one_of_zeros_are_not_chosen_and_harm_nothing,),
        transforms=(chosen.test_transforms_change_nothing,),
    ),
    one_standard_error: Row(
        hand=(chosen.test_the_rule_takes_the_first_within_one_standard_error,),
        law=(chosen.test_the_rule_takes_the_first_within_one_standard_error,),
        oracle=(chosen.test_the_rule_takes_the_first_within_one_standard_error,),
        mask=WHOLE_ROWS,
        gradient=POSITION,
        numerics=Omitted(because="compares means, which are exact to rounding"),
        transforms=(chosen.test_transforms_change_nothing,),
    ),
    dynamics.bootstrap: Row(
        hand=(chosen.test_bootstrap_of_equal_blocks_knows_the_coefficients,),
        law=(chosen.test_bootstrap_of_equal_blocks_knows_the_coefficients,),
        oracle=(chosen.test_bootstrap_intervals_and_inclusions,),
        mask=WHOLE_ROWS,
        gradient=DRAWS,
        numerics=(chosen.test_bootstrap_intervals_and_inclusions,),
        transforms=(chosen.test_transforms_change_nothing,),
    ),
    dynamics.solve: Row(
        hand=(solved.test_hand_values,),
        law=(solved.test_trajectories_are_as_exact_as_their_tolerance_says, solved.test_a_stop_ends_a_solution),
        oracle=(solved.test_both_equal_scipy,),
        mask=WHOLE_PATH,
        gradient=(solved.test_gradients_of_every_adjoint_are_the_exact_one, solved.test_forward_mode),
        numerics=(solved.test_a_solution_that_diverges_says_so_and_raises_nothing,),
        transforms=(solved.test_transforms_change_nothing,),
    ),
    dynamics.fixed_step: Row(
        hand=(solved.test_hand_values,),
        law=(
            solved.test_the_error_of_fixed_steps_falls_with_their_order,
            solved.test_fixed_steps_of_diffrax_are_ours,
        ),
        oracle=(solved.test_both_equal_scipy,),
        mask=WHOLE_PATH,
        gradient=(solved.test_gradient,),
        numerics=(solved.test_a_solution_that_diverges_says_so_and_raises_nothing,),
        transforms=(solved.test_transforms_change_nothing,),
    ),
    dynamics.identify: Row(
        hand=(identified.test_equations_are_found,),
        law=(
            identified.test_units_are_those_of_the_data,
            identified.test_a_known_input_is_part_of_the_equations,
            identified.test_one_long_trajectory_is_cut_into_blocks,
        ),
        oracle=(identified.test_equations_are_found,),
        mask=(identified.test_trajectories_of_different_lengths_and_times_are_one_problem,),
        gradient=HOST,
        numerics=(identified.test_what_is_no_record_is_refused,),
        transforms=HOST,
    ),
    dynamics.l1: penalty(),
    dynamics.smoothed_half: penalty(penalties.test_both_parts_meet_at_the_knee_and_0_is_flat),
    dynamics.simplified: Row(
        hand=(shorter.test_hand_value,),
        law=(shorter.test_units_change_no_choice,),
        oracle=(shorter.test_contributions_equal_float64_numpy,),
        mask=WHOLE_ROWS,
        gradient=HOST,
        numerics=(shorter.test_where_nothing_is_left_a_zero_is, shorter.test_shares_are_not_negative),
        transforms=HOST,
    ),
    dynamics.symbolic_search: Row(
        hand=(searched.test_the_right_terms_are_found,),
        law=(searched.test_units_change_no_choice,),
        oracle=(searched.test_the_record_says_what_was_chosen,),
        mask=(searched.test_masked_rows_are_as_if_left_out,),
        gradient=HOST,
        numerics=(
            searched.test_a_start_that_diverges_loses,
            searched.test_where_all_diverge_there_is_no_network,
            searched.test_what_is_no_record_is_refused,
        ),
        transforms=HOST,
    ),
    dynamics.pad: Row(
        hand=(written.test_trajectories_of_different_lengths_are_filled_up,),
        law=(written.test_trajectories_of_different_lengths_are_filled_up,),
        oracle=(written.test_trajectories_of_different_lengths_are_filled_up,),
        mask=Omitted(because="makes what masks are for"),
        gradient=HOST,
        numerics=(written.test_no_trajectories_are_refused,),
        transforms=HOST,
    ),
    dynamics.held_out: Row(
        hand=(held.test_other_equations_leave_more,),
        law=(held.test_the_true_equations_leave_noise, held.test_units_change_nothing),
        oracle=(held.test_inputs_drive_simulations_as_scipy_says,),
        mask=(held.test_trajectories_end_where_their_samples_do,),
        gradient=HOST,
        numerics=(held.test_what_diverges_is_told,),
        transforms=HOST,
    ),
    dynamics.hidden_state_test: Row(
        hand=(before.test_the_past_stands_in_for_a_hidden_state,),
        law=(before.test_the_past_of_measured_states_says_nothing_more,),
        oracle=(before.test_the_past_stands_in_for_a_term_that_the_library_lacks,),
        mask=(before.test_samples_after_the_end_are_not_read,),
        gradient=HOST,
        numerics=(before.test_too_few_windows_are_refused,),
        transforms=HOST,
    ),
    dynamics.trust: Row(
        hand=(trusted.test_each_fault_fails_its_check,),
        law=(trusted.test_what_is_right_passes,),
        oracle=(trusted.test_the_condition_is_that_of_the_chosen_terms,),
        mask=Omitted(because="takes what functions with masks return"),
        gradient=HOST,
        numerics=(trusted.test_little_that_the_past_explains_is_no_hidden_state,),
        transforms=HOST,
    ),
}
