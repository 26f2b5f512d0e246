"""FeatureKD: the student imitates the teacher's intermediate activations, layer by layer."""

import dataclasses
from typing import Literal, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxkd import projector
from jaxkd.data.text.packed_text import PackedText
from jaxkd.distillation import forward, student_params
from jaxkd.distillation.forward import LayerHiddens
from jaxkd.distillation.label_loss import label_loss
from jaxkd.distillation.recipe import Distillation
from jaxkd.distillation.student_recipe import NATS
from jaxkd.losses.feature import attention_kl, hidden_cosine, hidden_mse
from jaxkd.losses.feature.attention import Heads
from jaxkd.losses.reduce import masked_sum, mean_weights, reported
from jaxkd.models.transformer.layer_outputs import AttentionTap
from jaxkd.records import Hiddens, LossOutput, TokenBatch, Variables
from jaxkd.training.recipe import Curve
from jaxkd.typing import Key, Params

Distance = Literal["cosine", "mse", "unit mse"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class FeatureKD(Distillation):
    """loss = (1 - kd_rate) * CE(label, q) + kd_rate * mean_l (d(P_l h_S, h_T) + attention_rate * KL(a_T || a_S)).

    l runs over pairs of layers.  h are hidden states at the response tokens, d is a distance between them, and a are
    the attention probabilities of the same tokens.  P_l is a trained projector if the widths differ, and absent
    otherwise.  Projectors form the optimizer group "projectors".

    Source: TinyBERT (Jiao et al., arXiv 1909.10351), equations 7 and 8; the cosine is DistilBERT's (arXiv 1910.01108),
    the distance of unit vectors PKD's (arXiv 1908.09355), and the KL of attention MiniLM's (arXiv 2002.10957).
    Deviation: causal language models, at the response tokens alone; the mean over pairs, where TinyBERT adds them.
    """

    data: PackedText
    layers: tuple[tuple[int, int], ...] = ()
    """Pairs of student and teacher layers, counted from 1; 0 is the embedding.  Default: the last layer of each."""
    distance: Distance = "cosine"
    """Distance d: 1 - cos, or the mean over channels of the squared difference of the states or of their directions."""
    attention_rate: float = 0.0
    """Weight of the attention term, at least 0; with 0 no attention is stored."""
    attention_heads: Heads = "matched"
    """Pairing of heads: "matched" compares head i with head i, "mean" the means over any two numbers of heads."""

    def loss(self, variables: Variables, batch: TokenBatch, counts: dict[str, Array], key: Key) -> LossOutput:
        weights = mean_weights(batch.loss_mask, counts["targets"])
        (student, ours), theirs = self._student_layers(variables, batch, key), self._teacher_layers(variables, batch)
        label_term = label_loss(student, batch, rate=1 - self.kd_rate, count=counts["targets"])

        # Zeros in place of what padding holds: a weight of 0 would not keep NaN from the projectors' gradient.
        hiddens = [jnp.where(batch.loss_mask[..., None], side.hiddens, 0) for side in (ours, theirs)]
        distance = self._mean_distance(variables.params.get("projectors", {}), *hiddens)
        imitation = distance
        metrics = {
            **label_term.metrics,
            "hidden_distance": reported(distance, batch.loss_mask),
        }
        if ours.attention is not None and theirs.attention is not None:
            nats = jnp.mean(attention_kl(ours.attention, theirs.attention, heads=self.attention_heads), axis=0)
            imitation = distance + self.attention_rate * nats
            metrics["attention_divergence"] = reported(nats, batch.loss_mask)
        imitation = masked_sum(self.kd_rate * weights * imitation, batch.loss_mask).total
        return LossOutput(loss=label_term.total + imitation, state=variables.state, metrics=metrics)

    def curves(self) -> tuple[Curve, ...]:
        return (*super().curves(), Curve(metric="attention_divergence", unit=NATS))

    def validate(self) -> None:
        super().validate()
        self.require_live_teacher("A cache holds the last layer alone.")
        if not self.attention_rate >= 0:
            raise ValueError(f"attention_rate must be at least 0, got {self.attention_rate}.")
        for name, choice, choices in (
            ("distance", self.distance, Distance),
            ("attention_heads", self.attention_heads, Heads),
        ):
            if choice not in get_args(choices):
                raise ValueError(f"{name} must be one of {', '.join(get_args(choices))}, got {choice!r}.")
        lowest = 1 if self.attention_rate else 0
        for side, model in enumerate((self.student, self.teacher)):
            outside = [pair for pair in self._pairs() if not lowest <= pair[side] <= model.config().depth]
            if outside:
                raise ValueError(
                    f"layers must be between {lowest} and the depth of each model, {self.student.config().depth} and "
                    f"{self.teacher.config().depth}, got {outside}. Blocks count from 1; 0 is the embedding, which has "
                    "no attention."
                )
        ours, theirs = self.student.config().heads, self.teacher.config().heads
        if self.attention_rate and self.attention_heads == "matched" and ours != theirs:
            raise ValueError(
                'student and teacher must have equally many heads with attention_heads="matched", got '
                f'{ours} and {theirs}. Set attention_heads="mean".'
            )

    def abstract(self) -> Variables:
        return self._with_projectors(super().abstract(), jax.eval_shape(lambda: self._projectors(jax.random.key(0))))

    def init(self, key: Key) -> Variables:
        student_key, projector_key = jax.random.split(key)
        return self._with_projectors(super().init(student_key), self._projectors(projector_key))

    def _pairs(self) -> tuple[tuple[int, int], ...]:
        return self.layers or ((self.student.config().depth, self.teacher.config().depth),)

    def _student_layers(self, variables: Variables, batch: TokenBatch, key: Key) -> tuple[Hiddens, LayerHiddens]:
        return forward.layer_hiddens(
            self.student_config(),
            student_params.student(variables),
            batch,
            layers=[ours for ours, _ in self._pairs()],
            tap=self._tap,
            key=key,
            remat=self.remat,
        )

    def _teacher_layers(self, variables: Variables, batch: TokenBatch) -> LayerHiddens:
        layers = [theirs for _, theirs in self._pairs()]
        _, found = forward.layer_hiddens(
            self.teacher.config(), variables.frozen["teacher"], batch, layers=layers, tap=self._tap
        )
        return jax.lax.stop_gradient(found)

    def _mean_distance(
        self, projectors: Params, ours: Float[Array, "n b k ds"], theirs: Float[Array, "n b k dt"]
    ) -> Float[Array, "b k"]:
        """Average the distance over the pairs of layers."""
        distances = []
        for place, (student, teacher) in enumerate(zip(ours, theirs, strict=True)):
            projection = projectors[_name(place)]["weight"] if projectors else None
            match self.distance:
                case "cosine":
                    distance = hidden_cosine(student, teacher, projection=projection)
                case "mse":
                    distance = hidden_mse(student, teacher, projection=projection)
                case "unit mse":
                    distance = hidden_mse(student, teacher, projection=projection, normalization="l2")
            distances.append(distance)
        return sum(distances[1:], distances[0]) / len(distances)

    def _projectors(self, key: Key) -> dict[str, Params]:
        """Initialise a projector to the teacher's width for each pair; none if the widths are equal."""
        student, teacher = self.student.config().width, self.teacher.config().width
        if student == teacher:
            return {}
        keys = jax.random.split(key, len(self._pairs()))
        return {
            _name(place): {"weight": projector.uniform_init(one, student, teacher)["weight"]}
            for place, one in enumerate(keys)
        }

    def _with_projectors(self, variables: Variables, projectors: dict[str, Params]) -> Variables:
        return student_params.with_projectors(variables, projectors) if projectors else variables

    @property
    def _tap(self) -> AttentionTap:
        return "scores" if self.attention_rate else "none"


def _name(place: int) -> str:
    return f"pair_{place}"
