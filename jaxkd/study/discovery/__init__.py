"""Discovery of equations from measured records, with all that a reader needs to judge them."""

# First, as `jaxkd.dynamics` names the extra that installs SymPy.
from jaxkd.dynamics.validation.discovered import Discovered as Discovered
from jaxkd.study.discovery.search import Search as Search
from jaxkd.study.discovery.search import discover as discover
