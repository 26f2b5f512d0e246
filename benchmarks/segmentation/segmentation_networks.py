"""VFFM-UNet's counts, and its attention in both forms: equal to rounding, with less memory, in less time."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import environment
from benchmarks.losses.loss_step import temporary_bytes
from benchmarks.row import Bar, Benchmark, Measured, Row
from benchmarks.segmentation.published_counts import PUBLISHED, counted
from benchmarks.timing import interleaved
from jaxkd.networks.functional import Stateful, stateful
from jaxkd.training.planning.linear_maps import linear_multiply_adds
from jaxkd.vision.segmentation.fast_attention import AttentionForm, FastAttention, Variant
from jaxkd.vision.segmentation.unet import UNet
from jaxkd.vision.segmentation.vffm_unet import VFFMUNet

FORMS: tuple[AttentionForm, AttentionForm] = ("closed", "quadratic")
VARIANTS: tuple[Variant, Variant] = ("released", "intended")
FEATURES, TOKENS_SIDE = 24, 32
"""Attention of the finest stage that has one, at 256 x 256."""
SIDE, LARGE_SIDE = 256, 512
PUBLISHED_MULTIPLY_ADDS = 0.49336e9


def measure(quick: bool) -> Measured:
    """Count, compare and time; quick: without timings."""
    rows = [*_counts(), *_multiply_adds(), *_comb()]
    for bits in (64, 32):
        with jax.enable_x64(bits == 64):
            rows += [*_modules_agree(bits), *_networks_agree(bits)]
    rows += _memory_and_time(repeats=0 if quick else 5)
    return Measured(rows=tuple(rows), environment=environment.here())


BENCHMARK = Benchmark(
    name="segmentation_networks",
    summary="VFFM-UNet: counts as published, and linear attention equal to the N x N form, smaller and faster",
    measure=measure,
)


def _counts() -> Iterator[Row]:
    for variant in VARIANTS:
        found = counted(VFFMUNet(variant=variant))
        for part, expected in PUBLISHED.items():
            yield Row(
                figure=f"{variant}: parameters of {part}, difference from the published {expected:,}",
                value=abs(found[part] - expected),
                unit="",
                bar=Bar(relation="<=", limit=0),
            )


def _multiply_adds() -> Iterator[Row]:
    for variant in VARIANTS:
        network = VFFMUNet(variant=variant, attention="quadratic")
        yield Row(
            figure=f"{variant}: multiply-adds of linear maps at 256 x 256, difference from the published 0.49336 G",
            value=abs(_network_multiply_adds(network) - PUBLISHED_MULTIPLY_ADDS) / 1e9,
            unit="G",
            bar=Bar(relation="<=", limit=1e-4),
        )
    for name, network in (("VFFM-UNet in its closed form", VFFMUNet()), ("U-Net", UNet())):
        figure = f"multiply-adds of linear maps at 256 x 256, {name}"
        yield Row(figure=figure, value=_network_multiply_adds(network) / 1e9, unit="G")


def _network_multiply_adds(network: VFFMUNet | UNet) -> int:
    images = jax.ShapeDtypeStruct((1, SIDE, SIDE, 3), jnp.uint8)
    return linear_multiply_adds(
        lambda params, state, images: network.apply(params, state, images)[0].logits, *network.abstract(), images
    )


def _attention(variant: Variant, form: AttentionForm) -> Stateful:
    return stateful(lambda rngs: FastAttention(FEATURES, heads=12, variant=variant, form=form, rate=0.0, rngs=rngs))


def _attention_output(variant: Variant, form: AttentionForm) -> np.ndarray:
    """Return the output for normalised maps, at weights of which those of queries and keys are ten times the initial.

    Initial ones give weights of tokens that are all equal to rounding.
    """
    params, _ = _attention(variant, "closed").init(jax.random.key(0))
    params |= {name: jax.tree.map(lambda leaf: 10 * leaf, params[name]) for name in ("query", "key")}
    maps = np.random.default_rng(0).normal(size=(2, TOKENS_SIDE, TOKENS_SIDE, FEATURES))
    params, maps = jax.tree.map(lambda leaf: jnp.asarray(leaf, float), (params, maps))
    return np.asarray(jax.jit(lambda params, maps: _attention(variant, form).apply(params, {}, maps)[0])(params, maps))


def _modules_agree(bits: int) -> Iterator[Row]:
    for variant in VARIANTS:
        closed, quadratic = (_attention_output(variant, form) for form in FORMS)
        yield Row(
            figure=f"{variant}: attention of 32 x 32 tokens, closed - quadratic, float{bits}",
            value=float(np.max(np.abs(closed - quadratic))),
            unit="",
            bar=Bar(relation="<=", limit={64: 1e-12, 32: 5e-7}[bits]),
        )


def _comb() -> Iterator[Row]:
    maps = np.moveaxis(_attention_output("released", "closed"), 3, 1)
    flat = maps.reshape(len(maps), -1)
    comb = np.take(flat, np.arange(flat.shape[1]) % FEATURES, axis=1)
    yield Row(
        figure="released: output of attention - one vector of 24, repeated over the channel-first map",
        value=float(np.max(np.abs(flat - comb))),
        unit="",
        bar=Bar(relation="<=", limit=0),
    )


def _forward(network: VFFMUNet) -> jax.stages.Wrapped:
    return jax.jit(lambda params, state, images: network.apply(params, state, images)[0].logits)


def _arguments(side: int, rows: int) -> tuple[Any, Any, jax.Array]:
    params, state = VFFMUNet().init(jax.random.key(0))
    images = np.random.default_rng(0).integers(0, 256, (rows, side, side, 3))
    wide = jax.tree.map(lambda leaf: jnp.asarray(leaf, float), (params, state))
    return *wide, jnp.asarray(images, jnp.uint8)


def _networks_agree(bits: int) -> Iterator[Row]:
    arguments = _arguments(SIDE, rows=2)
    for variant in VARIANTS:
        closed, quadratic = (
            np.asarray(_forward(VFFMUNet(variant=variant, attention=form))(*arguments), np.float64) for form in FORMS
        )
        yield Row(
            figure=f"{variant}: network at 256 x 256, closed - quadratic, float{bits}, probabilities",
            value=float(np.max(np.abs(_sigmoid(closed) - _sigmoid(quadratic)))),
            unit="",
            bar=Bar(relation="<=", limit={64: 1e-12, 32: 5e-6}[bits]),
        )
        yield Row(
            figure=f"{variant}: network at 256 x 256, closed - quadratic, float{bits}, logits over their greatest",
            value=float(np.max(np.abs(closed - quadratic)) / np.max(np.abs(quadratic))),
            unit="",
            bar=Bar(relation="<=", limit={64: 1e-12, 32: 5e-6}[bits]),
        )


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))


def _memory_and_time(repeats: int) -> Iterator[Row]:
    arguments = _arguments(LARGE_SIDE, rows=1)
    for variant in VARIANTS:
        forward = {
            form: _forward(VFFMUNet(variant=variant, attention=form)).lower(*arguments).compile() for form in FORMS
        }
        memory = {form: temporary_bytes(compiled) for form, compiled in forward.items()}
        for form in FORMS:
            figure = f"{variant}: temporary memory of the forward pass at 512 x 512, {form}"
            yield Row(figure=figure, value=memory[form] / 2**20, unit="MiB")
        judged = variant == "released"
        yield Row(
            figure=f"{variant}: temporary memory at 512 x 512, closed over quadratic",
            value=memory["closed"] / memory["quadratic"],
            unit="",
            bar=Bar(relation="<=", limit=0.1) if judged else None,
        )
        if repeats and judged:
            seconds = interleaved(
                {form: lambda run=forward[form]: _seconds(run, arguments) for form in FORMS}, repeats=repeats
            )
            for form in FORMS:
                yield Row.median(f"{variant}: forward pass at 512 x 512, {form}", seconds[form], "s")
            yield Row.median(
                f"{variant}: forward pass at 512 x 512, quadratic over closed",
                [quadratic / closed for closed, quadratic in zip(*seconds.values(), strict=True)],
                "x",
                bar=Bar(relation=">=", limit=3.0),
            )


def _seconds(run: Callable[..., jax.Array], arguments: tuple[Any, ...]) -> float:
    start = time.perf_counter()
    jax.block_until_ready(run(*arguments))
    return time.perf_counter() - start
