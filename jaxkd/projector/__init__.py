"""Linear maps between the hidden states of two models, and their initialisation.

A projector is a dict `{"weight": [in, out]}`, with an optional `"bias": [out]`.  t2s maps the teacher's hidden states
to the student's, s2t the reverse.

The ideal projector of DSKDv2 maps from the space of one head, `head_in`, to that of another head, `head_out`, such that
the logits are preserved: `project(P, h) @ head_out.T` is the least-squares fit to `h @ head_in.T`, for every h, and
equal to it where the row space of `head_in.T` lies within that of `head_out.T`.  t2s has the teacher's head as
`head_in` and the student's as `head_out`; s2t swaps them.  Row i of both must belong to the same token: select the rows
with `token_rows` first.  A head's bias, scale and soft-cap are left out of the fit.
"""

from jaxkd.projector.ideal import RTOL as RTOL
from jaxkd.projector.ideal import centred as centred
from jaxkd.projector.ideal import gram_inverse as gram_inverse
from jaxkd.projector.ideal import ideal_init as ideal_init
from jaxkd.projector.ideal import ideal_step as ideal_step
from jaxkd.projector.ideal import lost_share as lost_share
from jaxkd.projector.ideal import token_rows as token_rows
from jaxkd.projector.ideal import torch_rtol as torch_rtol
from jaxkd.projector.linear import project as project
from jaxkd.projector.linear import uniform_init as uniform_init
