"""SegmentationKD: a small network learns masks and the probabilities of a larger one."""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxkd.losses import bernoulli_divergence
from jaxkd.losses.feature import attention_transfer, channelwise_kd
from jaxkd.losses.reduce import reported
from jaxkd.records import LossOutput, MaskBatch, Variables
from jaxkd.training.recipe import Curve
from jaxkd.typing import Key, Params
from jaxkd.vision.segmentation.maps import SegmentationMaps
from jaxkd.vision.segmentation.recipe import SegmentationRecipe, mean_label_loss
from jaxkd.vision.trained_network import TrainedNetwork


@dataclasses.dataclass(frozen=True, kw_only=True)
class SegmentationKD(SegmentationRecipe):
    """loss = mean over images of (1 - kd_rate) * label + kd_rate * T^2 * KL(p_T || p_S) + feature terms.

    label is the loss of `Segmentation`; images without labels have the other terms, which need none.  p are the
    probabilities of foreground at temperature T, and the KL divergence of the two Bernoulli distributions is the mean
    over teachers and pixels.  The feature terms are `channelwise_rate` * T_c^2 times the divergence of the normalised
    maps, and `attention_rate` times the distance of attention maps over the pairs of `layers`.  Teachers see the images
    as they were augmented for the student.

    Source: Hinton et al. (arXiv 1503.02531), section 2, at each pixel; Shu et al. (arXiv 2011.13256), section 3.2;
    Zagoruyko & Komodakis (arXiv 1612.03928), section 3.1.  VFFM-UNet does no distillation.  Deviation: several teachers
    count equally.
    """

    teachers: tuple[TrainedNetwork, ...]
    """Networks to learn from, each with one class; several count equally."""
    kd_rate: float = 0.5
    """Weight of the divergence, in [0, 1]; labels have the rest."""
    temperature: float = 2.0
    """Temperature T that divides the logits of both sides, above 0."""
    channelwise_rate: float = 0.0
    """Weight of channel-wise distillation of the logit maps, at least 0."""
    channelwise_temperature: float = 4.0
    """Temperature T_c of channel-wise distillation, above 0."""
    attention_rate: float = 0.0
    """Weight of attention transfer, at least 0."""
    layers: tuple[tuple[int, int], ...] = ()
    """Pairs of feature maps of equal resolution, of the student and of each teacher, counted from 0."""

    def loss(self, variables: Variables, batch: MaskBatch, counts: dict[str, Array], key: Key) -> LossOutput:
        student, state = self.outputs(variables, batch, key)
        label, metrics = self.label_loss(student, batch)
        taught = [self._imitation(student, maps) for maps in self._teacher_maps(variables.frozen, batch)]
        divergence, features = (jnp.mean(jnp.stack(terms), axis=0) for terms in zip(*taught, strict=True))
        imitation = self.kd_rate * self.temperature**2 * divergence + features
        loss = (1 - self.kd_rate) * mean_label_loss(label, counts) + jnp.sum(imitation) / counts["images"]
        every = jnp.ones(divergence.shape, bool)
        metrics["divergence"] = reported(divergence, every)
        if self.channelwise_rate or self.attention_rate:
            metrics["feature_distance"] = reported(features, every)
        return LossOutput(loss=loss, state=state, metrics=metrics)

    def validate(self) -> None:
        if not self.teachers:
            raise ValueError("teachers must name at least one network, got none. Without a teacher, use Segmentation.")
        if not 0 <= self.kd_rate <= 1:
            raise ValueError(f"kd_rate must be in [0, 1], got {self.kd_rate}.")
        for name in ("temperature", "channelwise_temperature"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}.")
        for name in ("channelwise_rate", "attention_rate"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}.")
        if bool(self.attention_rate) != bool(self.layers):
            raise ValueError(
                f"layers must be given with attention_rate, and not without, got {self.layers} and "
                f"{self.attention_rate}."
            )
        for teacher in self.teachers:
            teacher.validate()
            teacher.network.require_size(*self.data.size)
        super().validate()
        # Shapes of features and classes, before anything is trained.
        jax.eval_shape(
            lambda variables, batch, key: self.loss(variables, batch, self.counts(batch), key),
            self.abstract(),
            self.abstract_batch(),
            jax.random.key(0),
        )

    def curves(self) -> tuple[Curve, ...]:
        return (
            *super().curves(),
            Curve(metric="divergence", title="Divergence from the teacher", unit="nats a pixel"),
            Curve(metric="feature_distance", title="Distance of features"),
        )

    def abstract_teachers(self) -> Params:
        return {str(place): teacher.abstract() for place, teacher in enumerate(self.teachers)}

    def load_teachers(self) -> Params:
        return {str(place): teacher.load() for place, teacher in enumerate(self.teachers)}

    def provenance(self) -> str:
        teachers = ", ".join(f"{type(teacher.network).__name__} of {teacher.path}" for teacher in self.teachers)
        return f"{super().provenance()}; taught by {teachers}"

    def _teacher_maps(self, frozen: Params, batch: MaskBatch) -> list[SegmentationMaps]:
        return [
            jax.lax.stop_gradient(teacher.model(frozen[str(place)])(batch.images))
            for place, teacher in enumerate(self.teachers)
        ]

    def _imitation(
        self, student: SegmentationMaps, teacher: SegmentationMaps
    ) -> tuple[Float[Array, " b"], Float[Array, " b"]]:
        """Return, for each image, the mean divergence of its pixels, and the weighted feature terms."""
        nats = bernoulli_divergence(student.logits, teacher.logits, temperature=self.temperature)
        divergence = jnp.mean(nats, axis=(1, 2, 3))
        features = jnp.zeros_like(divergence)
        if self.channelwise_rate:
            nats = channelwise_kd(student.logits, teacher.logits, temperature=self.channelwise_temperature)
            features += self.channelwise_rate * self.channelwise_temperature**2 * nats
        for ours, theirs in self.layers:
            distance = attention_transfer(student.features[ours], teacher.features[theirs])
            features += self.attention_rate * distance / len(self.layers)
        return divergence, features
