"""A small tokenizer of each family, trained here on a few lines in many scripts."""

import functools

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

CORPUS = [
    "The quick brown fox jumps over the lazy dog. The dog sleeps, the fox does not.",
    "def spans(tokenizer, ids, text):\n    return [text[start:end] for start, end in ids]\n",
    "Der Fuchs läuft über die Straße; l'été est fini, le café aussi. ¿Qué pasa, señor?",
    "Быстрая лиса прыгает через собаку. Η αλεπού πηδά. 日本語の文章です。中文也在这里。한국어 문장",
    "for i in range(10):\n\tprint(i, i ** 2)  # squares\n\n\nif x == 42: pass\r\n",
    "🙂🙂 emoji 👩‍👩‍👧 and 🫠, ½ ² ﬁne x² …  two  spaces",
]
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
SENTENCE_PIECE = decoders.Sequence(
    [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
)
MARKED = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])


def wrapped(backend, **roles):
    return PreTrainedTokenizerFast(tokenizer_object=backend, clean_up_tokenization_spaces=False, **roles)


def byte_level(normalizer=None):
    """GPT-2 and what followed; tiktoken's vocabularies are of the same kind."""
    backend = Tokenizer(models.BPE())
    if normalizer is not None:
        backend.normalizer = normalizer
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=420, special_tokens=["<|end|>"], initial_alphabet=alphabet, show_progress=False
    )
    backend.train_from_iterator(CORPUS, trainer)
    return wrapped(backend, eos_token="<|end|>")


def _sentence_piece(model, scheme):
    backend = Tokenizer(model)
    if scheme == "normalizer":
        backend.normalizer = MARKED
        backend.decoder = SENTENCE_PIECE
    else:
        backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=False)
        backend.decoder = decoders.Sequence(
            [decoders.ByteFallback(), decoders.Metaspace(prepend_scheme=scheme, split=False)]
        )
    backend.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in ("<unk>", "<s>", "</s>")])
    return wrapped(backend, unk_token="<unk>", bos_token="<s>", eos_token="</s>")


def sentence_piece_bpe(scheme="normalizer"):
    """Llama 2 and Mistral, whose spaces are letters, and whose bytes stand for what is not in the vocabulary."""
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.Metaspace()
    trained.train_from_iterator(CORPUS[:3], trainers.BpeTrainer(vocab_size=150, show_progress=False))
    learned = sorted(trained.get_vocab().items(), key=lambda entry: entry[1])
    pieces = ["<unk>", "<s>", "</s>", *BYTES, *(piece for piece, _ in learned)]
    letters = {piece for piece in pieces if len(piece) == 1}
    known, merges = set(letters), []
    for piece, _ in learned:  # any way of building a piece will do
        if len(piece) > 1:
            cut = next(cut for cut in range(1, len(piece)) if {piece[:cut], piece[cut:]} <= known)
            merges.append((piece[:cut], piece[cut:]))
            known.add(piece)
    model = models.BPE(
        vocab={piece: index for index, piece in enumerate(pieces)},
        merges=merges,
        unk_token="<unk>",
        fuse_unk=True,
        byte_fallback=True,
    )
    return _sentence_piece(model, scheme)


def unigram(scheme="always"):
    """T5 and Gemma's kin, with bytes for what is not in the vocabulary."""
    trained = Tokenizer(models.Unigram())
    trained.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=150, unk_token="<unk>", special_tokens=["<unk>"], show_progress=False)
    trained.train_from_iterator(CORPUS[:3], trainer)
    learned = sorted(trained.get_vocab().items(), key=lambda entry: entry[1])
    # The scores of the training are not needed: any will do that prefer long pieces.
    pieces = [("<unk>", 0.0), ("<s>", 0.0), ("</s>", 0.0), *((byte, -20.0) for byte in BYTES)]
    pieces += [(piece, -10.0) for piece, index in learned if index > 0]
    return _sentence_piece(models.Unigram(pieces, unk_id=0, byte_fallback=True), scheme)


def word_piece():
    """BERT: lower case, no accents, no spaces."""
    backend = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    special = ["[UNK]", "[CLS]", "[SEP]"]
    trainer = trainers.WordPieceTrainer(vocab_size=500, special_tokens=special, show_progress=False)
    backend.train_from_iterator(CORPUS, trainer)
    return wrapped(backend, unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]")


LOSSLESS = {
    "byte-level BPE": byte_level,
    "SentencePiece BPE": sentence_piece_bpe,
    "SentencePiece BPE, Metaspace, always": functools.partial(sentence_piece_bpe, "always"),
    "SentencePiece BPE, Metaspace, first": functools.partial(sentence_piece_bpe, "first"),
    "SentencePiece BPE, Metaspace, never": functools.partial(sentence_piece_bpe, "never"),
    "Unigram, always": unigram,
    "Unigram, first": functools.partial(unigram, "first"),
}
"""Those whose tokens spell the text to the byte."""

REWRITING = {
    "byte-level BPE, NFC": functools.partial(byte_level, normalizers.NFC()),
    "byte-level BPE, NFKC": functools.partial(byte_level, normalizers.NFKC()),
    "byte-level BPE, lower case": functools.partial(byte_level, normalizers.Lowercase()),
}
"""Those that rewrite the text first, and keep all of it."""


@functools.cache
def made(name):
    """One tokenizer a name for all tests."""
    return (LOSSLESS | REWRITING | {"WordPiece": word_piece})[name]()
