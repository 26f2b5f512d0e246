"""Trials of hyper-parameters, the same ones for every method, and what they decided."""

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trial:
    """Hyper-parameters of a row; a method without a teacher or a projector has no use for theirs."""

    learning_rate: float
    """Peak of the cosine schedule over `steps`."""
    steps: int
    """Largest number of steps."""
    kd_rate: float
    """Share of the teacher's terms in the loss."""
    projector_rate: float
    """Learning rate of the projectors."""


TRIALS = (
    Trial(learning_rate=2e-3, steps=600, kd_rate=0.5, projector_rate=1e-3),
    Trial(learning_rate=4e-3, steps=600, kd_rate=0.9, projector_rate=1e-3),
    Trial(learning_rate=1e-3, steps=600, kd_rate=0.5, projector_rate=1e-3),
    Trial(learning_rate=3e-3, steps=600, kd_rate=0.9, projector_rate=1e-2),
)
"""Trials of each method.  A weight of 0.5 and a rate of 1e-3 are the papers'."""

TUNING_SEED = 100
"""Seed of the trials, which no reported row has."""

CHOSEN: Mapping[str, int] = {"sft": 1, "kd": 1, "dskd": 1, "dskdv2": 2}
"""Place in `TRIALS` of each method's best trial: the lowest bits per byte of the validation split at its best step."""


def chosen(method: str) -> Trial:
    """Return the trial of a method, that of SFT for SeqKD; the papers' values if none has been chosen."""
    return TRIALS[CHOSEN.get("sft" if method == "seqkd" else method, 0)]
