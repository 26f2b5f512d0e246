"""Configuration of a training run: what is trained, for how long, and how often it is validated and saved."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import jax

from jaxkd.runtime.checkpoint import tree_bytes
from jaxkd.sharding import mesh as meshes
from jaxkd.training import early_stopping
from jaxkd.training.compiled_step import CompiledStep
from jaxkd.training.evaluator import Evaluator, check_names
from jaxkd.training.optimizer import Optimizer, build
from jaxkd.training.recipe import Recipe
from jaxkd.training.stage import Stage
from jaxkd.training.train_step import Precision
from jaxkd.typing import Better

MAY_CHANGE = frozenset(
    {
        "label",
        "steps",
        "mesh",
        "log_every",
        "evaluate_every",
        "save_every",
        "keep_last",
        "patience",
        "evaluators",
        "tensorboard",
        "wandb",
    }
)
"""Fields that may change when a run resumes: none of them affects a completed step, and a mesh changes no more than the
order in which numbers are added."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainConfig(Stage):
    """Fields of a training run, and their validation; `Train` runs it."""

    recipe: Recipe
    """Method, with its models and data."""
    steps: int
    """Number of optimizer steps of the whole run, at least 1."""
    optimizer: Optimizer = dataclasses.field(default_factory=Optimizer)
    """AdamW and its schedule."""
    accumulation: int = 1
    """Number of micro-batches that a batch is split into: less memory, the same result.  A network with statistics of
    the batch takes it whole."""
    precision: Precision = "float32"
    """Precision of the matrix products; parameters stay float32 under bfloat16."""
    ema_decay: float | None = None
    """Decay of a moving average of the parameters and running statistics, which is evaluated and exported; None keeps
    none."""
    mesh: meshes.MeshShape = dataclasses.field(default_factory=meshes.MeshShape)
    """Number of devices along each axis of the mesh.  Default: rows are split over all devices."""
    start_from: str | None = None
    """Folder of a run, or "stage:NAME", whose trained parameters replace the recipe's initial ones."""
    deterministic: bool = False
    """Request deterministic GPU kernels from XLA; CPU and TPU are always deterministic."""
    log_every: int = 1
    """Steps between rows of `metrics.jsonl`; a row holds the values of its own step."""
    evaluate_every: int | None = None
    """Steps between validations; None validates at the end only."""
    save_every: int | None = None
    """Steps between checkpoints; None saves at the end and on an interrupt only."""
    keep_last: int = 1
    """Number of newest checkpoints that are kept, at least 1, besides the one of `keep_best`."""
    keep_best: str | None = None
    """Validation metric whose best checkpoint is kept and evaluated at the end."""
    better: Better = "lower"
    """Whether a lower or a higher value of `keep_best` is better."""
    patience: int | None = None
    """Validations in a row without a better `keep_best` after which the run ends; None runs all steps.  The learning
    rate follows the schedule of all steps."""
    validation: tuple[Evaluator, ...] = ()
    """Evaluators that run every `evaluate_every` steps and at the end, on the student so far."""
    evaluators: tuple[Evaluator, ...] = ()
    """Evaluators that run once, on the finished student."""
    tensorboard: bool = True
    """Write TensorBoard event files if tensorboardX is installed."""
    wandb: bool = False
    """Log to Weights & Biases as well, as its variables (WANDB_PROJECT, ...) set."""

    @property
    def seeded(self) -> bool:
        return True

    @property
    def double_precision(self) -> bool:
        return self.precision == "float64"

    def validate(self) -> None:
        self.recipe.validate()
        rows = jax.tree.leaves(self.recipe.abstract_batch())[0].shape[0]
        if self.steps < 1:
            raise ValueError(f"steps must be >= 1, got {self.steps}.")
        if self.accumulation < 1 or rows % self.accumulation:
            raise ValueError(
                f"accumulation must divide the {rows} rows of a batch, got {self.accumulation}. Change either of them."
            )
        if self.accumulation > 1 and self.recipe.reads_whole_batches():
            raise ValueError(
                f"accumulation must be 1 for a loss that reads statistics of the whole batch, got {self.accumulation}: "
                "those of its parts are others, and so would be the result. Take fewer rows."
            )
        if self.keep_best is not None and not self.validation:
            raise ValueError(f"keep_best={self.keep_best!r} needs validation evaluators, got none.")
        check_names(self.validation)
        check_names(self.evaluators)
        for name in ("log_every", "evaluate_every", "save_every"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be >= 1, got {value}.")
        if self.patience is not None:
            self._check_patience(self.patience)
        meshes.check_rows(self.mesh, rows // self.accumulation)

    def _check_patience(self, patience: int) -> None:
        if self.keep_best is None or self.evaluate_every is None:
            raise ValueError(
                f"patience={patience} needs keep_best, the metric that must improve, and evaluate_every, got "
                f"{self.keep_best!r} and {self.evaluate_every}."
            )
        if self.save_every is None or self.evaluate_every % self.save_every:
            raise ValueError(
                f"save_every must divide evaluate_every={self.evaluate_every}, so that the best step is saved, got "
                f"{self.save_every}."
            )
        if patience < 1 or patience * self.evaluate_every >= self.steps:
            raise ValueError(
                f"patience must be at least 1 and end within {self.steps} steps, got {patience} validations, one in "
                f"{self.evaluate_every} steps."
            )

    def stopped(self, values: Mapping[int, float]) -> bool:
        """Return whether a run ends after these validations, by step, before all its steps."""
        if self.patience is None:
            return False
        return early_stopping.stop_step(values, patience=self.patience, better=self.better) is not None

    def disk_bytes(self, folder: Path) -> int:
        del folder
        with jax.set_mesh(meshes.make(self.mesh)):
            state = self.compiled_step().abstract_state()
        # One more than is retained: a checkpoint is complete before an old one is deleted.
        return (self.keep_last + 1 + (self.keep_best is not None)) * tree_bytes(state)

    def compiled_step(self) -> CompiledStep:
        """Return the step of this run, under the ambient mesh."""
        return CompiledStep(
            recipe=self.recipe,
            optimizer=build(self.optimizer, self.steps),
            accumulation=self.accumulation,
            precision=self.precision,
            ema_decay=self.ema_decay,
        )

    def provenance(self) -> str:
        return self.recipe.provenance()
