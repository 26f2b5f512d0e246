"""Synthesis of a large texture from small patches, by tiling and blending."""

import functools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Int, UInt8

WINDOW = 24
"""Width of the windows that a texture is made of, in pixels; every patch is at least as wide."""

_STRIDE = WINDOW // 2


def windows_across(side: int) -> int:
    """Return the number of windows along one side of a texture: each pixel lies in two of them."""
    return 1 - -side // _STRIDE


def blend(
    patches: Sequence[UInt8[np.ndarray, "_ _ 3"]],
    choices: Int[np.ndarray, "n n"],
    side: int,
    rng: np.random.Generator,
) -> tuple[Float32[np.ndarray, "side side 3"], Float32[np.ndarray, "side side 3"]]:
    """Return a texture's smooth colour and its detail, whose sum is the texture.

    Windows cut from the patches at random places, turned and mirrored at random, overlap by half with Hann weights w.
    The colour is sum(w mean), where sum(w) = 1; the detail is sum(w (window - mean)) / sqrt(sum(w^2)), which keeps the
    variance of the patches where windows overlap.

    Args:
        patches: patches of at least `WINDOW` by `WINDOW` pixels.
        choices: index of the patch of each window; n is `windows_across(side)`.
        side: height and width of the texture, in pixels.
        rng: source of the places, turns and mirrors.

    Returns:
        Colour and detail, from 0 to 255 and around 0.

    Source:
        Heitz and Neyret, "High-performance by-example noise using a histogram-preserving blending operator" (2018),
        eq. 2, for the division by the root of the sum of squared weights.  Deviation: no transformation to a normal
        distribution; square windows.
    """
    count = len(choices)
    means = np.stack([patch.mean((0, 1), dtype=np.float32) for patch in patches])
    windows = np.empty((count, count, WINDOW, WINDOW, 3), np.float32)
    draws = rng.random((count, count, 2))
    turns = rng.integers(8, size=(count, count))
    for place in np.ndindex(count, count):
        patch, turn = patches[int(choices[place])], int(turns[place])
        top, left = (int(draw * (extent - WINDOW + 1)) for draw, extent in zip(draws[place], patch.shape, strict=False))
        window = np.rot90(patch[top : top + WINDOW, left : left + WINDOW], turn % 4)
        windows[place] = window[::-1] if turn >= 4 else window
    weights, scale = _weights(count)
    chosen = means[choices][:, :, None, None]
    colour = _overlapped(np.broadcast_to(chosen, windows.shape) * weights)
    detail = _overlapped((windows - chosen) * weights) / scale[..., None]
    inside = slice(_STRIDE, _STRIDE + side)
    return colour[inside, inside], detail[inside, inside]


@functools.lru_cache(maxsize=8)
def _weights(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights of a window, and the root of the sum of their squares over the texture."""
    ramp = np.sin(np.pi * (np.arange(WINDOW, dtype=np.float32) + 0.5) / WINDOW) ** 2
    weights = np.outer(ramp, ramp)[..., None]
    squares = _overlapped(np.broadcast_to(weights**2, (count, count, WINDOW, WINDOW, 1)))
    return weights, np.sqrt(squares[..., 0])


def _overlapped(windows: np.ndarray) -> np.ndarray:
    """Return the sum of windows that begin every `_STRIDE` pixels: of four tilings without overlap."""
    count, channels = len(windows), windows.shape[-1]
    extent = (count + 1) * _STRIDE
    total = np.zeros((extent, extent, channels), np.float32)
    for down, right in np.ndindex(2, 2):
        tiles = windows[down::2, right::2]
        tiling = tiles.transpose(0, 2, 1, 3, 4).reshape(len(tiles) * WINDOW, -1, channels)
        top, left = down * _STRIDE, right * _STRIDE
        total[top : top + tiling.shape[0], left : left + tiling.shape[1]] += tiling
    return total
