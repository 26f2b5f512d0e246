"""Assignment and losses of a detector once more: loops over cells and objects, in float64 NumPy."""

import numpy as np
from scipy.special import expit, log_softmax, softmax


def cells(sizes, strides):
    """Centre and stride of each cell, level by level and row by row."""
    return [
        ((column + 0.5) * stride, (row + 0.5) * stride, stride)
        for (height, width), stride in zip(sizes, strides, strict=True)
        for row in range(height)
        for column in range(width)
    ]


def anchors(sizes, strides, scale):
    half = scale / 2
    return np.array([[x - half * s, y - half * s, x + half * s, y + half * s] for x, y, s in cells(sizes, strides)])


def area(box):
    return max(box[2] - box[0], 0.0) * max(box[3] - box[1], 0.0)


def shared(one, other):
    return area((*np.maximum(one[:2], other[:2]), *np.minimum(one[2:], other[2:])))


def iou(one, other):
    both = shared(one, other)
    return both / max(area(one) + area(other) - both, 1e-6)


def giou(one, other):
    around = max(area((*np.minimum(one[:2], other[:2]), *np.maximum(one[2:], other[2:]))), 1e-6)
    union = max(area(one) + area(other) - shared(one, other), 1e-6)
    return iou(one, other) - (around - union) / around


def centre(box):
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def atss(every, sizes, objects, *, nearest, ignored_boxes=(), share=None):
    """Return the object of each anchor, or None, and whether it is ignored."""
    every = np.float64(every)
    ignored = [
        share is not None and any(shared(anchor, box) / area(anchor) > share for box in np.float64(ignored_boxes))
        for anchor in every
    ]
    claims = [{} for _ in every]
    for number, box in enumerate(np.float64(objects)):
        x, y = centre(box)
        chosen, start = [], 0
        for size in sizes:
            distance = {}
            for place in range(start, start + size):
                other_x, other_y = centre(every[place])
                distance[place] = np.inf if ignored[place] else (x - other_x) ** 2 + (y - other_y) ** 2
            chosen += sorted(distance, key=lambda place: (distance[place], place))[:nearest]
            start += size
        overlaps = [iou(every[place], box) for place in chosen]
        threshold = np.mean(overlaps) + (np.std(overlaps, ddof=1) if len(overlaps) > 1 else 0)
        for place, overlap in zip(chosen, overlaps, strict=True):
            x, y = centre(every[place])
            if overlap >= threshold and min(x - box[0], y - box[1], box[2] - x, box[3] - y) > 0.01:
                claims[place][number] = overlap
    found = [max(claim, key=lambda number: (claim[number], -number)) if claim else None for claim in claims]
    return found, [out and box is None for out, box in zip(ignored, found, strict=True)]


def gfl(class_logits, edge_logits, found, ignored, objects, classes, *, sizes, strides):
    """Return the five sums of one image from its flat logits."""
    quality = giou_sum = distribution = positives = weights = 0.0
    for place, (x, y, stride) in enumerate(cells(sizes, strides)):
        z, edges = np.float64(class_logits[place]), np.float64(edge_logits[place])
        target = np.zeros(len(z))
        if found[place] is not None:
            box = np.float64(objects[found[place]]) / stride
            x, y = x / stride, y / stride
            left, top, right, bottom = softmax(edges, axis=-1) @ np.arange(edges.shape[-1])
            predicted = np.array([x - left, y - top, x + right, y + bottom])
            target[classes[found[place]]] = iou(predicted, box)
            weight = expit(z).max()
            giou_sum += weight * (1 - giou(predicted, box))
            sides = x - box[0], y - box[1], box[2] - x, box[3] - y
            distribution += weight * np.mean([dfl(*pair) for pair in zip(edges, sides, strict=True)])
            positives, weights = positives + 1, weights + weight
        if not ignored[place]:
            quality += qfl(z, target).sum()
    return np.array([quality, giou_sum, distribution, positives, weights])


def qfl(z, target, beta=2.0):
    nats = target * np.logaddexp(0, -z) + (1 - target) * np.logaddexp(0, z)
    return np.abs(expit(z) - target) ** beta * nats


def dfl(logits, distance):
    y = min(max(distance, 0.0), len(logits) - 1 - 0.1)
    low = int(np.floor(y))
    log_probs = log_softmax(np.float64(logits))
    return -(low + 1 - y) * log_probs[low] - (y - low) * log_probs[low + 1]
