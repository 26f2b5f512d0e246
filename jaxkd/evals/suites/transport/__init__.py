"""The suite `transport`: questions made of public transport texts, of drawings, and of a few written rows."""

from jaxkd.evals.suites.transport.folder import write_suite

__all__ = ["write_suite"]
