"""The loss of DSKD with cross-model attention, twice: from the library's pieces, and in float64 NumPy by formulas."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxkd.alignment.cross_model_attention import attend, attention_weights, normalise
from jaxkd.kernels import linear_cross_entropy, linear_divergence
from jaxkd.losses import ForwardKL, ReverseKL
from jaxkd.projector import project
from jaxkd.records import Head, Hiddens

TEMPERATURE = 2.0
DS, DT, VS, VT = 4, 6, 11, 17
TERMS = ("t2s_ce", "t2s_kd", "s2t_kd")


def case(seed, *, b=2, n=5, m=7):
    """Arrays of two models, with a masked target on either side in the second row."""
    rng = np.random.default_rng(seed)

    def normal(*shape):
        return jnp.asarray(rng.normal(size=shape), jnp.float32)

    trained = {
        "h_s": normal(b, n, DS),
        "W_s": normal(VS, DS),
        "t2s": {"weight": normal(DT, DS) / 2, "bias": normal(DS) / 4},
        "s2t": {"weight": normal(DS, DT) / 2, "bias": normal(DT) / 4},
        "query": {"weight": normal(2 * DS, 2 * DT) / 2, "bias": normal(2 * DT) / 4},
    }
    frozen = {"h_t": normal(b, m, DT), "W_t": normal(VT, DT)}
    embeds = {
        "e_s_in": normal(b, n, DS),
        "e_s_target": normal(b, n, DS),
        "e_t_in": normal(b, m, DT) * 3,
        "e_t_target": normal(b, m, DT) * 3,
    }
    ids = {
        "labels": jnp.asarray(rng.integers(VS, size=(b, n)), jnp.int32),
        "student_mask": jnp.ones((b, n), bool).at[-1, -1].set(False),
        "teacher_mask": jnp.ones((b, m), bool).at[-1, -2:].set(False),
    }
    return trained, frozen, embeds, ids


def terms(trained, frozen, embeds, ids, segments=None, over="tokens"):
    """Sums over targets of t2s_ce, t2s_kd with the accuracy mask, and s2t_kd, as a recipe composes them."""
    stopped, embeds = jax.lax.stop_gradient(trained), jax.lax.stop_gradient(embeds)
    frozen = jax.lax.stop_gradient(frozen)
    h_t, head_t = frozen["h_t"], Head(weight=frozen["W_t"], vocab_size=VT)
    head_s = Head(weight=trained["W_s"], vocab_size=VS)
    head_s_stopped = Head(weight=stopped["W_s"], vocab_size=VS)
    masks = {name: ids[name] for name in ("student_mask", "teacher_mask")}
    student_ids, teacher_ids = segments or (None, None)

    def normalised(values):
        return normalise(values, masks["teacher_mask"], segment_ids=teacher_ids, over=over)

    keys = normalised(jnp.concatenate([embeds["e_t_in"], embeds["e_t_target"]], axis=-1))
    values = project(trained["t2s"], normalised(h_t) + normalised(embeds["e_t_target"]))
    queries = project(trained["query"], jnp.concatenate([embeds["e_s_in"], embeds["e_s_target"]], axis=-1))
    weights = attention_weights(
        queries, keys, **masks, student_segment_ids=student_ids, teacher_segment_ids=teacher_ids
    )
    t2s = Hiddens(values=attend(weights.t2s, values), head=head_s_stopped)
    s2t = Hiddens(values=attend(weights.s2t, project(trained["s2t"], trained["h_s"])), head=head_t)
    mask_s, mask_t = (one.astype(jnp.float32) for one in masks.values())
    cross_entropy = linear_cross_entropy(t2s, ids["labels"], weights=mask_s)
    correct = mask_s * (cross_entropy.argmax == ids["labels"])
    student = Hiddens(values=trained["h_s"], head=head_s)
    t2s_kd = linear_divergence(student, t2s, weights=correct, divergence=ReverseKL(temperature=TEMPERATURE))
    teacher = Hiddens(values=h_t, head=head_t)
    s2t_kd = linear_divergence(s2t, teacher, weights=mask_t, divergence=ForwardKL(temperature=TEMPERATURE))
    return {"t2s_ce": cross_entropy.total, "t2s_kd": t2s_kd.total, "s2t_kd": s2t_kd.total}


def exact_terms(trained, frozen, embeds, ids, over="tokens"):
    """The same in float64: rows and targets one by one."""
    trained, frozen, embeds = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), (trained, frozen, embeds))
    ids = jax.tree.map(np.asarray, ids)

    def linear(params, x):
        return x @ params["weight"] + params["bias"]

    def deviation(x):
        return x.std(ddof=1)

    whole_keys = np.concatenate([embeds["e_t_in"], embeds["e_t_target"]], -1)
    totals = dict.fromkeys(TERMS, 0.0)
    for row in range(len(frozen["h_t"])):
        of_s, of_t = ids["student_mask"][row], ids["teacher_mask"][row]
        h_s, h_t, e_t = trained["h_s"][row][of_s], frozen["h_t"][row][of_t], embeds["e_t_target"][row][of_t]
        keys, labels = whole_keys[row][of_t], ids["labels"][row][of_s]
        counted = (keys, h_t, e_t) if over == "tokens" else (whole_keys, frozen["h_t"], embeds["e_t_target"])
        stds = [deviation(one) for one in counted]
        values = linear(trained["t2s"], h_t / stds[1] + e_t / stds[2])
        pairs = np.concatenate([embeds["e_s_in"], embeds["e_s_target"]], -1)[row][of_s]
        scores = linear(trained["query"], pairs) @ (keys / stds[0]).T / np.sqrt(2 * DT)
        t2s_logits = softmax(scores) @ values @ trained["W_s"].T
        s2t_logits = softmax(scores.T) @ linear(trained["s2t"], h_s) @ frozen["W_t"].T
        log_t2s = log_softmax(t2s_logits)
        totals["t2s_ce"] -= log_t2s[np.arange(len(labels)), labels].sum()
        correct = t2s_logits.argmax(-1) == labels
        log_q, log_p = log_softmax(h_s @ trained["W_s"].T / TEMPERATURE), log_softmax(t2s_logits / TEMPERATURE)
        totals["t2s_kd"] += (np.exp(log_q) * (log_q - log_p)).sum(-1)[correct].sum()
        log_q, log_p = log_softmax(s2t_logits / TEMPERATURE), log_softmax(h_t @ frozen["W_t"].T / TEMPERATURE)
        totals["s2t_kd"] += (np.exp(log_p) * (log_p - log_q)).sum()
    return totals


def softmax(scores):
    return np.exp(log_softmax(scores))


def log_softmax(scores):
    shifted = scores - scores.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
