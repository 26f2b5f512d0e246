"""The rows of the alignments of tokens."""

from collections.abc import Callable

from jaxkd.alignment import by_index, chunk_values, chunks, exact_token, greedy
from tests.alignment import test_by_index, test_chunk_values, test_chunks, test_exact_token, test_greedy
from tests.properties.row import Omitted, Row

INTEGERS = Omitted(because="integers in, integers out: there is nothing to differentiate")
COUNTED = Omitted(because="counts of characters: nothing is rounded")
HOST = Omitted(because="runs on the host, over strings")


def of_chunks(
    *,
    law: Callable = test_chunk_values.test_a_joined_stretch_lies_within_one_text_and_sums_of_sums_are_sums,
    gradient: tuple[Callable, ...] | Omitted,
    numerics: tuple[Callable, ...] | Omitted,
) -> Row:
    """Tests of chunks and their values, from their tokens."""
    return Row(
        hand=(test_chunk_values.test_hand_values,),
        law=(law,),
        oracle=(test_chunk_values.test_equals_a_loop_over_tokens,),
        mask=(test_chunk_values.test_padding_changes_nothing_and_rows_without_tokens_have_nothing,),
        gradient=gradient,
        numerics=numerics,
        transforms=(test_chunk_values.test_transforms_and_eight_devices_change_nothing,),
    )


TOKEN_ALIGNMENTS: dict[Callable, Row] = {
    exact_token.align: Row(
        hand=(
            test_exact_token.test_hand_values,
            test_exact_token.test_there_is_a_slot_for_each_place_of_the_shorter_side,
        ),
        law=(
            test_exact_token.test_is_monotone_one_to_one_and_symmetric,
            test_exact_token.test_a_tokenization_and_itself_are_the_identity,
            test_exact_token.test_what_stands_for_no_text_is_never_paired,
            test_exact_token.test_equal_spans_of_different_texts_are_not_paired,
            test_exact_token.test_no_loop_over_tokens_and_no_table_of_pairs,
        ),
        oracle=(test_exact_token.test_equals_a_dictionary,),
        mask=(
            test_exact_token.test_padding_changes_nothing_whatever_it_holds,
            test_exact_token.test_a_row_without_tokens_has_no_pairs,
        ),
        gradient=INTEGERS,
        numerics=(test_exact_token.test_long_texts_and_many_segments_do_not_overflow,),
        transforms=(
            test_exact_token.test_transforms_change_nothing,
            test_exact_token.test_eight_devices_change_nothing,
        ),
    ),
    chunks.chunks: Row(
        hand=(
            test_chunks.test_hand_value,
            test_chunks.test_what_one_side_cut_off_has_no_number_and_the_next_text_goes_on_counting,
        ),
        law=(
            test_chunks.test_a_stretch_has_tokens_on_both_sides_that_end_together,
            test_chunks.test_pairs_of_equal_spans_share_a_stretch,
            test_chunks.test_exchanged_sides_exchange_the_results_and_equals_have_stretches_of_one_token,
            test_chunks.test_a_beginning_on_one_side_only_merges_nothing,
        ),
        oracle=(test_chunks.test_equals_sets_of_common_ends,),
        mask=(test_chunks.test_padding_changes_nothing_whatever_it_holds,),
        gradient=INTEGERS,
        numerics=(test_chunks.test_long_texts_and_many_segments_do_not_overflow,),
        transforms=(test_chunks.test_transforms_change_nothing, test_chunks.test_eight_devices_change_nothing),
    ),
    **dict.fromkeys(
        (chunk_values.ends, chunk_values.has_next, chunk_values.merged),
        of_chunks(gradient=INTEGERS, numerics=Omitted(because="places of tokens: nothing is rounded")),
    ),
    chunk_values.leads: of_chunks(
        law=test_chunk_values.test_the_last_token_and_those_that_lead_to_it_are_the_stretch,
        gradient=INTEGERS,
        numerics=Omitted(because="places of tokens: nothing is rounded"),
    ),
    chunk_values.sums: of_chunks(
        gradient=(test_chunk_values.test_gradients_of_sums,),
        numerics=(test_chunk_values.test_sums_keep_their_dtype_and_are_taken_stretch_by_stretch,),
    ),
    by_index.align_by_index: Row(
        hand=(test_by_index.test_hand_value,),
        law=(test_by_index.test_a_tokenization_and_itself_are_the_identity,),
        oracle=(test_by_index.test_equals_a_loop,),
        mask=(test_by_index.test_rows_without_tokens_have_no_pairs,),
        gradient=INTEGERS,
        numerics=Omitted(because="places of tokens: nothing is rounded"),
        transforms=(test_by_index.test_transforms_change_nothing,),
    ),
    greedy.prepare: Row(
        hand=(test_greedy.test_prepare_counts_characters_without_markers,),
        law=(test_greedy.test_is_symmetric_and_a_tokenization_and_itself_are_the_identity,),
        oracle=(test_greedy.test_equals_the_loop_over_strings,),
        mask=(test_greedy.test_columns_and_rows_without_tokens_change_nothing,),
        gradient=INTEGERS,
        numerics=COUNTED,
        transforms=HOST,
    ),
    greedy.align_greedily: Row(
        hand=(test_greedy.test_hand_values,),
        law=(
            test_greedy.test_is_symmetric_and_a_tokenization_and_itself_are_the_identity,
            test_greedy.test_bytes_find_what_the_rule_loses_behind_a_newline,
            test_greedy.test_the_rule_pairs_by_the_tokens_identity_only_at_the_end,
        ),
        oracle=(test_greedy.test_equals_the_loop_over_strings,),
        mask=(test_greedy.test_columns_and_rows_without_tokens_change_nothing,),
        gradient=INTEGERS,
        numerics=COUNTED,
        transforms=(test_greedy.test_transforms_change_nothing, test_greedy.test_eight_devices_change_nothing),
    ),
}
