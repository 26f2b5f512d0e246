"""Features to compare, and every feature loss in float64 NumPy: one position, pair or triple at a time."""

import itertools

import numpy as np


def features(seed, shape, scale=1.0):
    return (np.random.default_rng(seed).normal(size=shape) * scale).astype(np.float32)


def exact(value):
    return None if value is None else np.asarray(value, np.float64)


def unit(vector):
    length = np.linalg.norm(vector)
    return vector / length if length > 0 else vector


def projected(student, projection):
    return exact(student) if projection is None else exact(student) @ exact(projection)


def each_position(function):
    """A function of two vectors, for every position of student (projected) and teacher."""

    def oracle(student, teacher, *, projection=None):
        student, teacher = projected(student, projection), exact(teacher)
        pairs = zip(student.reshape(-1, student.shape[-1]), teacher.reshape(-1, teacher.shape[-1]), strict=True)
        return np.reshape([function(*pair) for pair in pairs], student.shape[:-1])

    return oracle


mse = each_position(lambda s, t: np.mean((s - t) ** 2))
normalized_mse = each_position(lambda s, t: np.mean((unit(s) - unit(t)) ** 2))
cosine = each_position(lambda s, t: 1 - unit(s) @ unit(t))


def attention_transfer(student, teacher, *, exponent=2.0):
    values = []
    for s, t in zip(exact(student), exact(teacher), strict=True):
        maps = [unit((np.abs(side) ** exponent).sum(-1).ravel()) for side in (s, t)]
        values.append(np.sum((maps[0] - maps[1]) ** 2))
    return np.array(values)


def log_softmax(scores):
    return scores - np.logaddexp.reduce(scores)


def channelwise(student, teacher, *, temperature=4.0, mask=None):
    student, teacher = exact(student) / temperature, exact(teacher) / temperature
    values = np.zeros(len(student))
    for b in range(len(student)):
        seen = np.ones(student.shape[1:3], bool) if mask is None else np.asarray(mask[b])
        if seen.any():
            values[b] = np.mean([kl(s, t) for s, t in zip(student[b][seen].T, teacher[b][seen].T, strict=True)])
    return values


def head_reuse(student, teacher, *, kernel):
    """By a linear head, on the first row and on the others: a mean within a level and a sum over levels."""
    squares = (exact(student) @ exact(kernel) - exact(teacher)) ** 2
    return squares[:, :1].mean(axis=(1, 2, 3)) + squares[:, 1:].mean(axis=(1, 2, 3))


def each_query(function, over_heads):
    """A function of two heads' scores of one query's visible keys, averaged over heads."""

    def oracle(student, teacher, *, mask=None, heads="matched"):
        student, teacher = exact(student), exact(teacher)
        batch, _, queries, keys = student.shape
        mask = np.ones((batch, queries, keys), bool) if mask is None else np.asarray(mask)
        mask = np.broadcast_to(mask, (batch, queries, keys))
        values = np.zeros((batch, queries))
        for b, q in itertools.product(range(batch), range(queries)):
            seen = mask[b, q]
            if not seen.any():
                continue
            s, t = student[b, :, q][:, seen], teacher[b, :, q][:, seen]
            if heads == "mean":
                s, t = over_heads(s), over_heads(t)
            values[b, q] = np.mean([function(*head) for head in zip(s, t, strict=True)])
        return values

    return oracle


def kl(s, t):
    log_p, log_q = log_softmax(t), log_softmax(s)
    return np.sum(np.exp(log_p) * (log_p - log_q))


scores_mse = each_query(lambda s, t: np.mean((s - t) ** 2), lambda scores: scores.mean(0, keepdims=True))
scores_kl = each_query(kl, lambda scores: np.logaddexp.reduce([log_softmax(head) for head in scores], keepdims=True))


def values_kl(student, teacher, **options):
    relations = [
        np.stack([[head @ head.T / np.sqrt(head.shape[-1]) for head in row] for row in exact(side)])
        for side in (student, teacher)
    ]
    return scores_kl(*relations, **options)


def huber(gap):
    return gap**2 / 2 if abs(gap) <= 1 else abs(gap) - 0.5


def kept(rows, mask):
    return exact(rows) if mask is None else exact(rows)[np.asarray(mask)]


def distances(rows):
    pairs = list(itertools.combinations(range(len(rows)), 2))
    lengths = np.array([np.linalg.norm(rows[i] - rows[j]) for i, j in pairs])
    return lengths / lengths.mean() if lengths.any() else lengths


def rkd_distance(student, teacher, *, mask=None):
    s, t = (distances(kept(side, mask)) for side in (student, teacher))
    return np.mean([huber(gap) for gap in s - t])


def rkd_angle(student, teacher, *, mask=None):
    s, t = kept(student, mask), kept(teacher, mask)
    gaps = [
        unit(s[j] - s[i]) @ unit(s[k] - s[i]) - unit(t[j] - t[i]) @ unit(t[k] - t[i])
        for i, j, k in itertools.permutations(range(len(s)), 3)
    ]
    return np.mean([huber(gap) for gap in gaps])


def similarity_preserving(student, teacher, *, mask=None):
    s, t = kept(student, mask), kept(teacher, mask)
    gaps = [unit(s @ s[i]) - unit(t @ t[i]) for i in range(len(s))]
    return np.mean(np.square(gaps))


def cka(student, teacher, *, mask=None):
    """In the space of features, as the definition has it."""
    s, t = kept(student, mask), kept(teacher, mask)
    s, t = s - s.mean(0), t - t.mean(0)
    return 1 - np.linalg.norm(t.T @ s) ** 2 / (np.linalg.norm(s.T @ s) * np.linalg.norm(t.T @ t))


def unbiased_hsic(a, b):
    """HSIC_1 of Song et al., equation 5, from Gram matrices."""
    n, ones = len(a), np.ones(len(a))
    a, b = a - np.diag(np.diag(a)), b - np.diag(np.diag(b))
    sums = ones @ a @ ones * (ones @ b @ ones) / ((n - 1) * (n - 2))
    return (np.trace(a @ b) + sums - 2 / (n - 2) * (ones @ a @ b @ ones)) / (n * (n - 3))


def unbiased_cka(student, teacher, *, mask=None):
    a, b = (kept(side, mask) @ kept(side, mask).T for side in (student, teacher))
    return 1 - unbiased_hsic(a, b) / np.sqrt(unbiased_hsic(a, a) * unbiased_hsic(b, b))


def info_nce(student, teacher, *, projection=None, temperature=0.07, mask=None, labels=None, negatives=None):
    student, teacher = projected(student, projection), exact(teacher)
    mask = np.ones(len(student), bool) if mask is None else np.asarray(mask)
    values = np.zeros(len(student))
    for i in np.flatnonzero(mask):
        rivals = [
            teacher[j] for j in np.flatnonzero(mask) if j != i and (labels is None or int(labels[j]) != int(labels[i]))
        ]
        rivals += [] if negatives is None else list(exact(negatives))
        scores = np.array([unit(student[i]) @ unit(other) for other in [teacher[i], *rivals]]) / temperature
        values[i] = np.log(np.exp(scores - scores[0]).sum())
    return values
