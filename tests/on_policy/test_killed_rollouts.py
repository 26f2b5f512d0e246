"""SIGKILL where a run on the student's own answers is most easily torn: in a rollout, in its buffer, in a save."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest

from jaxkd.on_policy import Replay
from jaxkd.recipes.on_policy import OnPolicy
from jaxkd.runtime import configs
from jaxkd.sharding import MeshShape
from tests.training.test_loop import assert_bitwise

DIES = """
    import os, signal, sys
    from pathlib import Path
    from jaxkd.on_policy import replay_buffer
    from jaxkd.runtime import configs
    from jaxkd.on_policy.rollouts import Rollouts

    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    def dying(function, at):
        calls = []

        def called(*arguments):
            result = function(*arguments)
            calls.append(result)
            return die() if len(calls) == at else result

        return called

    def die_at_the_commit(event, args):
        # The rename is what gives a checkpoint its name: everything is written, nothing is valid.
        if event == "os.rename" and os.path.basename(str(args[1])) == "4":
            die()

    moment = sys.argv[3]
    if moment == "rollout":
        Rollouts.answers = dying(Rollouts.answers, 2)
    elif moment == "buffer":
        replay_buffer.added = dying(replay_buffer.added, 1)
    else:
        sys.addaudithook(die_at_the_commit)
    configs.load(Path(sys.argv[1])).run(Path(sys.argv[2]), seed=3, stages={})
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kept", "moments"),
    [
        # Until the buffer is full, in the second step, answers are new in each.
        ({"replay": Replay(start=1.0, steps=9, capacity=16)}, ["buffer"]),
        # A round is written in the first and in the fourth step.
        ({"every": 3}, ["rollout", "save"]),
    ],
    ids=["replayed", "in rounds"],
)
def test_a_run_that_was_killed_ends_bitwise_as_one_that_was_not(tiny, tmp_path, kept, moments):
    recipe = OnPolicy(recipe=tiny.logit_kd(dropout=0.1), max_new_tokens=5, **kept)
    train = tiny.train(recipe, steps=5, save_every=1, mesh=MeshShape(data=2), validation=(), evaluators=())
    train.run(tmp_path / "whole", seed=3, stages={})
    configs.save(tmp_path / "train.json", train)
    for moment in moments:
        died = subprocess.run(
            [
                sys.executable,
                "-c",
                textwrap.dedent(DIES),
                str(tmp_path / "train.json"),
                str(tmp_path / "parts"),
                moment,
            ],
            capture_output=True,
            text=True,
            env=os.environ,
        )
        assert died.returncode == -signal.SIGKILL, died.stderr
    train.run(tmp_path / "parts", seed=3, stages={})
    assert_bitwise(train, tmp_path / "whole", tmp_path / "parts")
