"""The benchmarks of AlignDistil at toy sizes: what they ask, what they make of the answers."""

import pytest

from benchmarks.methods import aligndistil_memory, aligndistil_speed


def test_memory_judges_what_is_asked_to_be_small(monkeypatch):
    for name, value in (("TOKENS", 512), ("VOCABULARY", 640), ("WIDTH", 4)):
        monkeypatch.setattr(aligndistil_memory, name, value)
    reference, token_chunk, vocab_tile = aligndistil_memory.measure(quick=True).rows
    assert reference.figure == "AlignDistil by reference, 512 tokens, vocabulary of 640, three widths of 4"
    assert reference.bar is None
    assert reference.value >= 3 * 512 * 640 * 4 / 2**30  # three float32 logits
    assert None not in (token_chunk.bar, vocab_tile.bar)
    assert vocab_tile.value < reference.value  # a chunk of this size holds all tokens


@pytest.mark.slow
def test_speed_compares_with_the_parts_of_a_step(tiny, tiny_batch):
    setting = aligndistil_speed.Setting(checkpoint=tiny.student, batch=tiny_batch)
    rows = {row.figure: row for row in aligndistil_speed.measured(setting, rounds=5).rows}
    assert rows["token_chunk / the parts"].bar == aligndistil_speed.COST
    assert rows["vocab_tile / the parts"].bar is None
    assert all(row.value > 0 for row in rows.values())
    assert 1 < rows["the same of their multiplications"].value < 12 / 5
