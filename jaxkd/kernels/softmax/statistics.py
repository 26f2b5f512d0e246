"""Per-token statistics of the first sweep over the vocabulary: both softmaxes, the label's logit, the argmax."""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxkd.kernels.divergence import SeparableDivergence
from jaxkd.kernels.inputs import Columns
from jaxkd.kernels.softmax.sum_exp import SumExp, gap_moment, recentred


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Statistics:
    """Statistics of a part of the vocabulary; parts are added, and summed over the devices that hold them."""

    softmaxes: dict[str, SumExp]
    """Softmax of each side at the divergence's temperature; only the student's without a divergence."""
    moments: dict[str, Float[Array, " n"]]
    """`gap_moment` of each side that a KL needs."""
    plain: SumExp | None
    """Softmax of the student at temperature 1; None if that is the divergence's temperature."""
    label_logit: Float[Array, " n"]
    """Student logit of the label; 0 if the label is outside this part or there is none."""
    argmax: Int[Array, " n"]
    """Token id of the student's largest logit."""

    @classmethod
    def of(
        cls,
        divergence: SeparableDivergence | None,
        logits: dict[str, Float[Array, "n r"]],
        *,
        ids: Int[Array, " r"],
        labels: Int[Array, " n"] | None,
    ) -> "Statistics":
        """Return the statistics of one part, from each side's logits of the tokens `ids`."""
        student = logits["student"]
        if divergence is None:
            tempered = {"student": student}
        else:
            tempered = {side: one / divergence.temperature for side, one in logits.items()}
        softmaxes = {side: SumExp.of(one) for side, one in tempered.items()}
        plain = SumExp.of(student) if _tempers(divergence) else None
        return cls(
            softmaxes=softmaxes,
            moments={side: gap_moment(side, tempered, softmaxes) for side in _averaging_sides(divergence)},
            plain=plain,
            label_logit=_at_label(student, ids, labels),
            argmax=_first_id(student, (plain or softmaxes["student"]).maximum, ids),
        )

    @classmethod
    def empty(cls, divergence: SeparableDivergence | None, tokens: int, dtype: jnp.dtype) -> "Statistics":
        """Return the statistics of an empty part."""
        nothing, zero = SumExp.empty(tokens, dtype), jnp.zeros(tokens, dtype)
        sides = ("student",) if divergence is None else ("student", "teacher")
        return cls(
            softmaxes=dict.fromkeys(sides, nothing),
            moments=dict.fromkeys(_averaging_sides(divergence), zero),
            plain=nothing if _tempers(divergence) else None,
            label_logit=zero,
            argmax=jnp.zeros(tokens, jnp.int32),
        )

    def __add__(self, later: "Statistics") -> "Statistics":
        softmaxes = {side: one + later.softmaxes[side] for side, one in self.softmaxes.items()}
        return Statistics(
            softmaxes=softmaxes,
            moments={
                side: recentred(side, mine, self.softmaxes, softmaxes)
                + recentred(side, later.moments[side], later.softmaxes, softmaxes)
                for side, mine in self.moments.items()
            },
            plain=None if self.plain is None or later.plain is None else self.plain + later.plain,
            label_logit=self.label_logit + later.label_logit,
            argmax=jnp.where(later.sharp.maximum > self.sharp.maximum, later.argmax, self.argmax),
        )

    def across(self, axis: str | None) -> "Statistics":
        """Return the combined statistics of all devices along a mesh axis."""
        if axis is None:
            return self
        softmaxes = {side: one.across(axis) for side, one in self.softmaxes.items()}
        moments = {side: recentred(side, one, self.softmaxes, softmaxes) for side, one in self.moments.items()}
        plain = None if self.plain is None else self.plain.across(axis)
        mine = self.sharp.maximum == (plain or softmaxes["student"]).maximum
        nowhere = jnp.iinfo(self.argmax.dtype).max
        return Statistics(
            softmaxes=softmaxes,
            moments={side: jax.lax.psum(one, axis) for side, one in moments.items()},
            plain=plain,
            label_logit=jax.lax.psum(self.label_logit, axis),
            argmax=jax.lax.pmin(jnp.where(mine, self.argmax, nowhere), axis),
        )

    @property
    def sharp(self) -> SumExp:
        """Softmax of the student at temperature 1."""
        return self.softmaxes["student"] if self.plain is None else self.plain

    def columns(self, divergence: Float[Array, " n"], *, labelled: bool) -> Columns:
        """Return the columns of a loss, from the statistics of the whole vocabulary."""
        lse = self.sharp.log()
        # The two logits are close to each other, so subtract them first.
        nats = jnp.log(self.sharp.total) + (self.sharp.maximum - self.label_logit)
        cross_entropy = nats if labelled else jnp.zeros_like(lse)
        return Columns(divergence=divergence, cross_entropy=cross_entropy, argmax=self.argmax, lse=lse)


def _tempers(divergence: SeparableDivergence | None) -> bool:
    """Return whether the divergence needs a student softmax at a temperature other than 1."""
    return divergence is not None and (isinstance(divergence.temperature, jax.Array) or divergence.temperature != 1.0)


def _averaging_sides(divergence: SeparableDivergence | None) -> tuple[str, ...]:
    """Return the sides whose means a mixture of KLs needs: teacher for KL(p || q), student for KL(q || p)."""
    if divergence is None or divergence.kl_shares is None:
        return ()
    return tuple(side for side, share in zip(("teacher", "student"), divergence.kl_shares, strict=True) if share)


def _at_label(
    logits: Float[Array, "n r"], ids: Int[Array, " r"], labels: Int[Array, " n"] | None
) -> Float[Array, " n"]:
    """Return the logit of the label, or 0 if it is not in `ids`."""
    if labels is None:
        return jnp.zeros(logits.shape[0], logits.dtype)
    return jnp.sum(jnp.where(labels[:, None] == ids[None, :], logits, 0.0), axis=-1)


def _first_id(logits: Float[Array, "n r"], maximum: Float[Array, " n"], ids: Int[Array, " r"]) -> Int[Array, " n"]:
    """Return the first id with the largest logit.  A minimum over ids vectorises, an argmax does not."""
    last = jnp.max(ids)
    return jnp.min(jnp.where(logits == maximum[:, None], ids[None, :], last), axis=-1)
