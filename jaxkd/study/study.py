"""Studies: stages that run in order, seed by seed, and are reported side by side."""

import dataclasses
import logging
from pathlib import Path

from jaxkd.evals.headline import BITS_PER_BYTE, Headline
from jaxkd.runtime import host_memory
from jaxkd.runtime.storage.free_space import check_writable
from jaxkd.study.data_preview import require_sources
from jaxkd.study.results.usage import Usage
from jaxkd.training.stage import Stage, referenced_stages, resolve
from jaxkd.training.stage_folder import read_evaluations
from jaxkd.training.train_config import TrainConfig

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Study:
    """Stages, seeds and comparisons of a study, as a config file returns them."""

    name: str
    """Short name; the default folder is runs/NAME."""
    title: str
    """Title of the report."""
    description: str
    """Paragraph at the head of the report."""
    stages: tuple[Stage, ...]
    """Stages in the order in which they run; "stage:NAME" in one is the folder of an earlier one."""
    seeds: tuple[int, ...] = (0,)
    """Random seeds; a stage that trains runs once for each, the others once."""
    comparisons: tuple[tuple[str, str], ...] = ()
    """Pairs of labels whose difference in the headline is reported with an interval."""
    headline: Headline = BITS_PER_BYTE
    """Metric by which the models are compared."""
    against: str | None = None
    """Name of the stage that the others start from: its model stands beside theirs in a table of all their measures,
    with paired differences, and so do their answers; None: no such table."""

    def __post_init__(self) -> None:
        names = [stage.name for stage in self.stages]
        if len(set(names)) < len(names):
            raise ValueError(f"stages must have different names, got {', '.join(names)}.")
        for name in names:
            if not name.isidentifier():
                raise ValueError(
                    f"stages must have names of letters, digits and underscores, which do not begin with a digit, got "
                    f"{name!r}. A name is the prefix of its options; what a table shows is the label."
                )
        labels = {stage.label for stage in self.stages if stage.label}
        for label in (label for pair in self.comparisons for label in pair):
            if label not in labels:
                raise ValueError(f"comparisons must name labels of stages, got {label!r}. Labels: {', '.join(labels)}.")
        if self.comparisons and not self.headline.has_interval:
            raise ValueError(
                f"comparisons must be empty where the headline names no columns, got {len(self.comparisons)} with "
                f"{self.headline.metric}. Name its numerator, from which the intervals come, or remove them."
            )
        labelled = [stage.name for stage in self.stages if stage.label]
        if self.against is not None and self.against not in labelled:
            raise ValueError(
                f"against must name a stage of the study that has a label, got {self.against!r}. Stages with a label: "
                f"{', '.join(labelled) or 'none'}."
            )
        for stage in self.stages:
            if (
                isinstance(stage, TrainConfig)
                and stage.keep_best == self.headline.metric
                and stage.better != self.headline.better
            ):
                raise ValueError(
                    f"better must be {self.headline.better!r} in {stage.name!r}, as in the headline, got "
                    f"{stage.better!r} with keep_best={stage.keep_best!r}. Set it there: a stage is also read alone."
                )
        for number, stage in enumerate(self.stages):
            resolve(stage, {name: Path(name) for name in names[:number]})

    def seeds_of(self, stage: Stage) -> tuple[int, ...]:
        """Return the seeds at which a stage runs: all of them, or the first if the stage is not seeded."""
        return self.seeds if stage.seeded else self.seeds[:1]


def stage_folder(workdir: Path, stage: Stage, seed: int) -> Path:
    """Return the folder of a stage: WORKDIR/STAGE, or WORKDIR/STAGE/SEED if it is seeded."""
    return workdir / stage.name / str(seed) if stage.seeded else workdir / stage.name


def run_study(study: Study, workdir: Path, *, only: str | None = None) -> None:
    """Run the unfinished stages of a study.

    Args:
        study: study to run; all of its stages are validated before the first one starts.
        workdir: folder of the study.
        only: name of a single stage to run; None runs all.

    Raises:
        ValueError: a stage that rejects its config, data that cannot be used, an unknown `only`, or one that reads a
            stage which has not run.
        FileNotFoundError: a missing file of data.
        OSError: a workdir that cannot be written, or a disk without room for the checkpoints.
    """
    selected = [stage for stage in study.stages if only in (None, stage.name)]
    if not selected:
        raise ValueError(
            f"only must name a stage of the study, got {only!r}. Stages: {', '.join(one.name for one in study.stages)}."
        )
    for stage in selected:
        stage.validate()
    runs = [(stage, seed, stage_folder(workdir, stage, seed)) for stage in selected for seed in study.seeds_of(stage)]
    unfinished = [run for run in runs if read_evaluations(run[-1]) is None]
    if only is not None:
        for stage, seed, _ in unfinished:
            _require_earlier(study, stage, seed, workdir)
    require_sources([stage for stage, *_ in unfinished])
    check_writable(workdir, sum(stage.disk_bytes(folder) for stage, _, folder in unfinished))
    usage, held = Usage(workdir), host_memory.resident()
    for number, (stage, seed, folder) in enumerate(runs, start=1):
        _log.info("[%d/%d] %s", number, len(runs), folder)
        # A stage reads the earlier stages at its own seed.
        before = study.stages[: study.stages.index(stage)]
        with usage.measure(str(folder.relative_to(workdir))):
            stage.run(folder, seed=seed, stages={one.name: stage_folder(workdir, one, seed) for one in before})
        held = host_memory.release_growth(held)


def _require_earlier(study: Study, stage: Stage, seed: int, workdir: Path) -> None:
    """Refuse a stage that runs alone and reads another one, be it for its last measure, that has not run.

    Raises:
        ValueError: the stage that it reads has no folder.
    """
    for earlier in study.stages:
        folder = stage_folder(workdir, earlier, seed)
        if earlier.name in referenced_stages(stage) and not folder.exists():
            raise ValueError(
                f"only={stage.name!r} must name a stage whose earlier stages have run, got one that reads "
                f"{earlier.name!r}, and {folder} is missing. Run that one first."
            )
