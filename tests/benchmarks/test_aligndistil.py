"""The benchmark of AlignDistil's loss at a toy size."""

from benchmarks import aligndistil_memory


def test_memory_judges_what_is_asked_to_be_small(monkeypatch):
    for name, value in (("TOKENS", 512), ("VOCABULARY", 640), ("WIDTH", 4)):
        monkeypatch.setattr(aligndistil_memory, name, value)
    reference, token_chunk, vocab_tile = aligndistil_memory.measure(quick=True).rows
    assert reference.figure == "AlignDistil by reference, 512 tokens, vocabulary of 640, three widths of 4"
    assert reference.bar is None
    assert reference.value >= 3 * 512 * 640 * 4 / 2**30  # three float32 logits
    assert None not in (token_chunk.bar, vocab_tile.bar)
    assert vocab_tile.value < reference.value  # a chunk of this size holds all tokens
