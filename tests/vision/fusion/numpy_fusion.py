"""The functions of the fusion in float64, with two-dimensional kernels."""

import numpy as np
from scipy import ndimage

SOBEL = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 8


def sobel_magnitude(images):
    maps = []
    for image in np.asarray(images, np.float64):
        grey = image.mean(-1)
        right, down = (ndimage.correlate(grey, kernel, mode="nearest") for kernel in (SOBEL, SOBEL.T))
        maps.append(np.sqrt(right**2 + down**2 + 1e-6))
    return np.array(maps)


def ssim_map(first, second, *, window=7, sigma=1.5, data_range=1.0):
    rows, columns = np.mgrid[:window, :window] - window // 2
    kernel = np.exp(-(rows**2 + columns**2) / (2 * sigma**2))
    kernel /= kernel.sum()
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    maps = []
    for a, b in zip(np.asarray(first, np.float64), np.asarray(second, np.float64), strict=True):
        # SciPy's "mirror" does not repeat the outermost pixel: NumPy's and torch's "reflect".
        means = [ndimage.correlate(one, kernel, mode="mirror") for one in (a, b, a * a, b * b, a * b)]
        variance_a, variance_b = means[2] - means[0] ** 2, means[3] - means[1] ** 2
        covariance = means[4] - means[0] * means[1]
        alike = (2 * means[0] * means[1] + c1) * (2 * covariance + c2)
        maps.append(alike / ((means[0] ** 2 + means[1] ** 2 + c1) * (variance_a + variance_b + c2) + 1e-12))
    return np.array(maps)


def normalised(edges, edge_norm):
    divisor = {"l2": lambda: max(np.linalg.norm(edges), 1e-12), "none": lambda: 1.0, "max": edges.max}[edge_norm]
    return edges / divisor()


def shape_weights(visible, thermal, *, edge_norm="l2", temperature=1.0):
    weights = []
    for one, other in zip(sobel_magnitude(visible), sobel_magnitude(thermal), strict=True):
        both = ndimage.maximum_filter(np.maximum(one, other), 3, mode="constant", cval=-np.inf)
        target = normalised(both, edge_norm)[None]
        similarities = [ssim_map(target, normalised(edges, edge_norm)[None])[0] for edges in (one, other)]
        powers = np.exp(np.stack(similarities, -1) / temperature)
        weights.append(powers / powers.sum(-1, keepdims=True))
    return np.array(weights)
