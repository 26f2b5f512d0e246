"""The rows of `jaxkd.metrics`."""

from collections.abc import Callable

from jaxkd import metrics
from tests.metrics import test_average_precision as precision
from tests.metrics import test_numbers as numbers
from tests.metrics import test_options as options
from tests.metrics import test_pass_at_k as passes
from tests.metrics import test_rouge as rouge
from tests.metrics import test_segmentation as segmentation
from tests.metrics import test_verdicts as verdicts
from tests.properties.row import Omitted, Row, Shown

NO_POSITIONS = Omitted(because="its arguments have no positions to mask")
NO_ARRAY = Omitted(because="it takes no array")
STRINGS = Omitted(because="runs on the host, over strings")
HOST = Omitted(because="runs on the host, over NumPy arrays")
IMAGES = Omitted(because="images that do not count are left out of its arguments")
TABLE = Omitted(because="what models write is read: its hand values are its definition")


def of_text(*, hand: tuple[Callable, ...], law: tuple[Callable, ...], oracle: Shown, numerics: Shown = STRINGS) -> Row:
    """Tests of a function of strings."""
    return Row(
        hand=hand, law=law, oracle=oracle, mask=NO_POSITIONS, gradient=STRINGS, numerics=numerics, transforms=STRINGS
    )


METRICS: dict[Callable, Row] = {
    metrics.rouge_l: of_text(
        hand=(rouge.test_hand_values, rouge.test_words_of_chinese_text_by_jieba),
        law=(
            rouge.test_symmetric_between_0_and_1_and_1_between_equals,
            rouge.test_order_counts_and_gaps_do_not,
            rouge.test_the_best_of_several_references_counts,
        ),
        oracle=(
            rouge.test_symmetric_between_0_and_1_and_1_between_equals,
            rouge.test_words_of_english_are_those_of_rouge_score,
            rouge.test_stems_are_those_of_rouge_score,
        ),
        numerics=(
            rouge.test_either_side_may_be_empty,
            rouge.test_more_words_than_there_are_code_points_before_the_surrogates,
        ),
    ),
    metrics.rouge_l_values: of_text(
        hand=(rouge.test_auto_is_resolved_once_for_a_corpus,),
        law=(rouge.test_auto_is_resolved_once_for_a_corpus,),
        oracle=(rouge.test_auto_is_resolved_once_for_a_corpus,),
    ),
    metrics.resolve_tokens: of_text(
        hand=(rouge.test_auto_compares_characters_where_references_are_chinese_or_japanese,),
        law=(rouge.test_auto_is_resolved_once_for_a_corpus,),
        oracle=TABLE,
    ),
    metrics.option: of_text(
        hand=(options.test_the_option_that_is_chosen, options.test_no_option_or_several),
        law=(
            options.test_any_reply_has_an_option_or_none,
            options.test_full_width_letters_are_letters,
            options.test_letters_go_as_far_as_the_options,
        ),
        oracle=TABLE,
        numerics=(options.test_long_replies_take_no_longer_than_their_length,),
    ),
    metrics.truth: of_text(
        hand=(verdicts.test_true, verdicts.test_false, verdicts.test_neither_or_both),
        law=(verdicts.test_space_and_emphasis_around_a_reply_say_nothing,),
        oracle=TABLE,
        numerics=(verdicts.test_long_replies_take_no_longer_than_their_length,),
    ),
    metrics.final_number: of_text(
        hand=(
            numbers.test_the_last_number,
            numbers.test_the_number_in_the_last_box,
            numbers.test_the_number_after_four_hashes,
        ),
        law=(
            numbers.test_a_number_is_read_exactly_however_it_is_written,
            numbers.test_a_fraction_is_read_exactly,
            numbers.test_auto_takes_the_clearest_mark_that_a_text_has,
        ),
        oracle=TABLE,
        numerics=(
            numbers.test_a_number_is_read_exactly_however_it_is_written,
            numbers.test_long_texts_take_no_longer_than_their_length,
        ),
    ),
    metrics.equal_numbers: Row(
        hand=(numbers.test_equality_is_exact,),
        law=(numbers.test_equality_is_exact,),
        oracle=(numbers.test_equality_is_exact,),
        mask=NO_POSITIONS,
        gradient=NO_ARRAY,
        numerics=(numbers.test_equality_is_exact,),
        transforms=NO_ARRAY,
    ),
    metrics.pass_at_k: Row(
        hand=(passes.test_hand_values,),
        law=(
            passes.test_is_the_share_of_subsets_with_a_correct_sample,
            passes.test_grows_with_tries_and_correct_samples,
        ),
        oracle=(passes.test_equals_equation_1_in_exact_arithmetic,),
        mask=NO_POSITIONS,
        gradient=NO_ARRAY,
        numerics=(passes.test_many_samples_do_not_overflow,),
        transforms=NO_ARRAY,
    ),
    metrics.binary_segmentation_metrics: Row(
        hand=(segmentation.test_hand_values, segmentation.test_nothing_over_nothing_is_one),
        law=(
            segmentation.test_dice_follows_from_iou_and_errors_are_symmetric,
            segmentation.test_parts_of_a_set_pool_to_the_whole,
            segmentation.test_micro_scores_weigh_images_by_their_pixels_and_means_do_not,
        ),
        oracle=(segmentation.test_equals_its_definition_pixel_by_pixel,),
        mask=IMAGES,
        gradient=HOST,
        numerics=(segmentation.test_one_wrong_pixel_among_many_counts,),
        transforms=HOST,
    ),
    metrics.match_image: Row(
        hand=(
            precision.test_a_box_takes_the_object_that_it_overlaps_most_and_of_equals_the_last,
            precision.test_crowds_take_any_number_of_boxes_which_do_not_count,
            precision.test_sizes_are_those_of_the_objects_or_of_the_areas_that_are_given,
        ),
        law=(
            precision.test_at_most_a_hundred_boxes_of_a_class_count,
            precision.test_only_the_order_of_scores_counts,
        ),
        oracle=(
            precision.test_equals_its_definition_in_loops,
            precision.test_equals_pycocotools_on_300_random_sets,
        ),
        mask=(precision.test_crowds_take_any_number_of_boxes_which_do_not_count,),
        gradient=HOST,
        numerics=(precision.test_only_the_order_of_scores_counts,),
        transforms=HOST,
    ),
    metrics.average_precision: Row(
        hand=(
            precision.test_hand_values,
            precision.test_a_second_box_on_an_object_is_wrong,
            precision.test_images_and_classes_without_boxes_or_objects,
        ),
        law=(
            precision.test_a_perfect_detector_has_one,
            precision.test_the_order_of_images_and_boxes_does_not_matter,
            precision.test_a_box_below_all_others_never_costs_anything,
            precision.test_counts_repeat_images_and_leave_them_out,
        ),
        oracle=(
            precision.test_equals_its_definition_in_loops,
            precision.test_equals_pycocotools_on_300_random_sets,
        ),
        mask=(precision.test_counts_repeat_images_and_leave_them_out,),
        gradient=HOST,
        numerics=(
            precision.test_only_the_order_of_scores_counts,
            precision.test_many_resamples_are_computed_in_parts,
        ),
        transforms=HOST,
    ),
}
