"""Knowledge distillation and learnt dynamics in JAX.

Three ways in: `python -m jaxkd.train` runs a study, `jaxkd.losses` holds pure functions for other code bases,
`jaxkd.recipes` has one readable file per paper.  Importing the package loads nothing else.
"""

__version__ = "0.1.0"
