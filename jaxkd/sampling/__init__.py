"""Text generation, and scores of given continuations.

`generate` takes lists of prompts and returns texts: one prefill of a batch's prompts, then decoding of one token per
step with a key/value cache.  `sample` is the compiled program below it, a pure function of arrays, for a training loop
that learns from the model's generations.  `continuation_log_probs` scores texts that are given.
"""

from jaxkd.sampling.continuations import Continuation, Score, continuation_log_probs
from jaxkd.sampling.decode import sample
from jaxkd.sampling.options import GREEDY, Sampling
from jaxkd.sampling.prompts import bucket, pad
from jaxkd.sampling.records import Finish, Generated, Mixture, Prompts, StopTable
from jaxkd.sampling.stop_strings import stop_table
from jaxkd.sampling.text import Text, generate

__all__ = [
    "GREEDY",
    "Continuation",
    "Finish",
    "Generated",
    "Mixture",
    "Prompts",
    "Sampling",
    "Score",
    "StopTable",
    "Text",
    "bucket",
    "continuation_log_probs",
    "generate",
    "pad",
    "sample",
    "stop_table",
]
