"""End of a process whose run has lost another one."""

from jaxkd.runtime.lost_process.ending import ends as ends
from jaxkd.runtime.lost_process.ending import saved_in as saved_in
