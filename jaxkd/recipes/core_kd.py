"""CoreKD: a detector learns boxes, and features that a larger detector's last convolution classifies as its own."""

import dataclasses
from typing import cast

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxkd.losses.feature import head_reuse_kd
from jaxkd.losses.reduce import reported
from jaxkd.records import DetectionBatch, LossOutput, Variables
from jaxkd.runtime.trained_params import STUDENT
from jaxkd.training.recipe import Curve
from jaxkd.typing import Key, Params
from jaxkd.vision.detection.detector import Detector
from jaxkd.vision.detection.maps import DetectionMaps
from jaxkd.vision.detection.recipe import DetectionRecipe
from jaxkd.vision.trained_network import PARAMS, TrainedNetwork

TEACHER = "teacher"


@dataclasses.dataclass(frozen=True, kw_only=True)
class CoreKD(DetectionRecipe):
    """loss = label + core_rate * mean over images of sum_l mean (W_T f_l - z_l)^2.

    label is the loss of `Detection`.  f_l are the features of the student's classification tower at level l of the
    pyramid, W_T the teacher's last classification convolution, frozen, and z_l the teacher's class logits.  Gradients
    reach the student's tower through the frozen convolution, and neither the teacher nor the student's own last one.
    The teacher sees the images as they were augmented for the student.

    Source: the core knowledge distillation of arXiv 2405.16038, from
    XueZ-phd/Efficient-RGB-T-Early-Fusion-Detection@8b8a6fa, with weight 1.  Deviation: none.
    """

    teacher: TrainedNetwork
    """Detector to learn from, of the student's strides, classes and `pyramid_width`."""
    core_rate: float = 1.0
    """Weight of the distance between logits, at least 0."""

    def loss(self, variables: Variables, batch: DetectionBatch, counts: dict[str, Array], key: Key) -> LossOutput:
        network_key, score_key = jax.random.split(key)
        maps, state = self.outputs(variables, batch, network_key)
        loss, metrics = self.label_loss(variables.params[STUDENT], maps, batch, counts, score_key)
        distance = self.core_distance(maps, variables.frozen[TEACHER], batch)
        metrics["core_distance"] = reported(distance, jnp.ones(distance.shape, bool))
        return LossOutput(
            loss=loss + self.core_rate * jnp.sum(distance) / counts["images"], state=state, metrics=metrics
        )

    def core_distance(self, maps: DetectionMaps, teacher: Params, batch: DetectionBatch) -> Float[Array, " b"]:
        """Return the distance of the teacher's logits from those of its last convolution on the student's features.

        Args:
            maps: the student's.
            teacher: variables of the teacher, from `load_teachers`.
            batch: images.
        """
        found: DetectionMaps = self.teacher.model(teacher)(batch.images)
        return head_reuse_kd(
            maps.tower,
            lambda params, tower, level: self.detector.classify(params, tower),
            teacher[PARAMS],
            found.class_logits,
        )

    @property
    def detector(self) -> Detector:
        """The teacher's description."""
        return cast(Detector, self.teacher.network)

    def validate(self) -> None:
        if not self.core_rate >= 0:
            raise ValueError(f"core_rate must be at least 0, got {self.core_rate}.")
        teacher = self.teacher.network
        if not isinstance(teacher, Detector):
            raise ValueError(f"teacher must be a detector, got {type(teacher).__name__}.")
        for name in ("strides", "classes", "pyramid_width"):
            ours, theirs = getattr(self.network, name), getattr(teacher, name)
            if ours != theirs:
                raise ValueError(
                    f"teacher must have the student's {name}, {ours}, got {theirs}. Describe one of them with the "
                    "other's levels, classes and pyramid_width, and train it again."
                )
        self.teacher.validate()
        teacher.require_size(*self.data.size)
        super().validate()

    def curves(self) -> tuple[Curve, ...]:
        return (*super().curves(), Curve(metric="core_distance", title="Squared distance of logits"))

    def abstract_teachers(self) -> Params:
        return {TEACHER: self.teacher.abstract()}

    def load_teachers(self) -> Params:
        return {TEACHER: self.teacher.load()}

    def provenance(self) -> str:
        teacher = self.teacher
        return f"{super().provenance()}; taught by {type(teacher.network).__name__} of {teacher.path}"
