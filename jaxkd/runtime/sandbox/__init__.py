"""Programs that a model wrote, run in processes of their own under limits.

It is no security boundary against a determined attacker: a container or a virtual machine is.  It keeps the programs
that models write from hanging a run, filling its memory or disk, or reaching other files, processes and the network.
`jaxkd.runtime.sandbox.programs` says which layer holds where.
"""

from jaxkd.runtime.sandbox.limits import Limits as Limits
from jaxkd.runtime.sandbox.outcome import Outcome as Outcome
from jaxkd.runtime.sandbox.outcome import Verdict as Verdict
from jaxkd.runtime.sandbox.programs import layers as layers
from jaxkd.runtime.sandbox.programs import run as run
from jaxkd.runtime.sandbox.programs import run_all as run_all
