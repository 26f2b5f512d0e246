"""Harnesses: this package's own for suites, and adapters for lm-eval and Inspect.

`jaxkd-lm-eval` is lm-eval's own command line with the model `jaxkd`; `inspect eval TASK --model jaxkd/PATH` finds its
provider by itself.  Each harness is an extra, and is imported when its adapter is used.
"""
