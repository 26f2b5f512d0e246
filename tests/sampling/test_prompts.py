import numpy as np
import pytest

from jaxkd.sampling import bucket, pad
from jaxkd.sampling.prompts import SHORTEST_BUCKET, batches


def test_buckets_are_two_a_doubling_and_hold_what_they_are_for():
    chosen = [bucket(length, limit=8192) for length in range(1, 8193)]
    powers = [16 * 2**doubling for doubling in range(10)]
    assert sorted(set(chosen)) == sorted(powers + [power * 3 // 4 for power in powers[1:]])
    for length, columns in enumerate(chosen, start=1):
        assert length <= columns
        assert columns == SHORTEST_BUCKET or columns <= 1.5 * length
    assert bucket(100, limit=101) == 101


def test_every_prompt_runs_once_with_prompts_of_like_length():
    lengths = [3, 50, 4, 17, 64, 2, 20]
    made = list(batches(lengths, rows=3, parts=1, limit=100))
    assert sorted(place for batch in made for place in batch.indices) == list(range(7))
    assert [(batch.rows, batch.length) for batch in made] == [(3, 16), (3, 64), (1, 64)]
    assert made[0].indices == (5, 0, 2)


def test_the_number_of_shapes_is_bounded_however_many_prompts_there_are():
    random = np.random.default_rng(0)
    shapes = set()
    for count in range(1, 200, 7):
        lengths = random.integers(1, 256, count).tolist()
        shapes |= {(batch.rows, batch.length) for batch in batches(lengths, rows=8, parts=1, limit=256)}
    assert {rows for rows, _ in shapes} <= {1, 2, 4, 8}
    assert len({length for _, length in shapes}) <= 9


@pytest.mark.parametrize(("count", "rows"), [(1, 4), (5, 8), (6, 8), (9, 12)])
def test_rows_are_a_multiple_of_the_devices_they_are_split_over(count, rows):
    (batch,) = batches([5] * count, rows=10, parts=4, limit=64)
    assert (len(batch.indices), batch.rows) == (count, rows)


def test_prompts_end_in_the_last_column():
    prompts = pad([[7, 8, 9], [], [5]], example_ids=[4, 2, 9], rows=4, length=5)
    assert prompts.tokens.tolist() == [[0, 0, 7, 8, 9], [0] * 5, [0, 0, 0, 0, 5], [0] * 5]
    assert prompts.lengths.tolist() == [3, 0, 1, 0]
    assert prompts.example_ids.tolist() == [4, 2, 9, 0]
    assert pad([]).tokens.shape == (0, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rows": 1}, "rows must be at least one a prompt, got 1 for 2 prompts"),
        ({"length": 2}, "length must hold the longest prompt, got 2 for 3 tokens. Shorten the prompt"),
        ({"example_ids": [1]}, "example_ids must name each prompt, got 1 for 2 prompts"),
    ],
)
def test_prompts_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        pad([[1, 2, 3], [4]], **options)
