"""The student's own generations during training: rollouts, their reuse and their replay."""

from jaxkd.on_policy.replay import Replay as Replay
from jaxkd.on_policy.schedule import Ramp as Ramp
