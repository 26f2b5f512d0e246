"""Learnt dynamics: from noisy trajectories to derivatives, equations and forecasts.  In double precision throughout."""

from importlib.util import find_spec

if missing := [name for name in ("diffrax", "sympy") if find_spec(name) is None]:
    raise ModuleNotFoundError(
        f"jaxkd.dynamics needs {' and '.join(missing)}. Install the extra: pip install 'jaxkd-distill[dynamics]'.",
        name=missing[0],
    )

from jaxkd.dynamics.derivatives.fourier_fit import FourierFit as FourierFit
from jaxkd.dynamics.derivatives.fourier_fit import fourier_fit as fourier_fit
from jaxkd.dynamics.derivatives.periodic_grid import PeriodicGrid as PeriodicGrid
from jaxkd.dynamics.derivatives.slopes import CentralDifferences as CentralDifferences
from jaxkd.dynamics.derivatives.slopes import FourierSlopes as FourierSlopes
from jaxkd.dynamics.derivatives.slopes import GridSlopes as GridSlopes
from jaxkd.dynamics.derivatives.slopes import SplineSlopes as SplineSlopes
from jaxkd.dynamics.derivatives.spectral import low_pass as low_pass
from jaxkd.dynamics.derivatives.spectral import spectral_cutoff as spectral_cutoff
from jaxkd.dynamics.derivatives.spectral import spectral_derivative as spectral_derivative
from jaxkd.dynamics.derivatives.weak_form import weak_form as weak_form
from jaxkd.dynamics.derivatives.weak_form import window_length as window_length
from jaxkd.dynamics.identification.equations import Equations as Equations
from jaxkd.dynamics.identification.identify import Identified as Identified
from jaxkd.dynamics.identification.identify import identify as identify
from jaxkd.dynamics.identification.library import exponentials as exponentials
from jaxkd.dynamics.identification.library import polynomials as polynomials
from jaxkd.dynamics.identification.library import rationals as rationals
from jaxkd.dynamics.identification.library import trigonometric as trigonometric
from jaxkd.dynamics.identification.library import values as values
from jaxkd.dynamics.identification.simplified import simplified as simplified
from jaxkd.dynamics.identification.sparse_fit import Bootstrap as Bootstrap
from jaxkd.dynamics.identification.sparse_fit import SparseFit as SparseFit
from jaxkd.dynamics.identification.sparse_fit import bootstrap as bootstrap
from jaxkd.dynamics.identification.sparse_fit import sparse_fit as sparse_fit
from jaxkd.dynamics.identification.sparse_paths import BackwardElimination as BackwardElimination
from jaxkd.dynamics.identification.sparse_paths import BestSubset as BestSubset
from jaxkd.dynamics.identification.sparse_paths import Lasso as Lasso
from jaxkd.dynamics.identification.sparse_paths import RelaxedL0 as RelaxedL0
from jaxkd.dynamics.identification.sparse_paths import SequentialThresholding as SequentialThresholding
from jaxkd.dynamics.identification.sparse_paths import SparsePath as SparsePath
from jaxkd.dynamics.padding import pad as pad
from jaxkd.dynamics.solvers.fixed_step import EULER as EULER
from jaxkd.dynamics.solvers.fixed_step import RK4 as RK4
from jaxkd.dynamics.solvers.fixed_step import FixedStep as FixedStep
from jaxkd.dynamics.solvers.fixed_step import fixed_step as fixed_step
from jaxkd.dynamics.solvers.solve import Solution as Solution
from jaxkd.dynamics.solvers.solve import Solver as Solver
from jaxkd.dynamics.solvers.solve import solve as solve
from jaxkd.dynamics.symbolic.networks import EQL as EQL
from jaxkd.dynamics.symbolic.networks import SymbolicNetwork as SymbolicNetwork
from jaxkd.dynamics.symbolic.networks import SymNet as SymNet
from jaxkd.dynamics.symbolic.penalties import l1 as l1
from jaxkd.dynamics.symbolic.penalties import smoothed_half as smoothed_half
from jaxkd.dynamics.symbolic.search import Schedule as Schedule
from jaxkd.dynamics.symbolic.search import SymbolicFit as SymbolicFit
from jaxkd.dynamics.symbolic.search import symbolic_search as symbolic_search
from jaxkd.dynamics.validation.held_out import HeldOut as HeldOut
from jaxkd.dynamics.validation.held_out import held_out as held_out
from jaxkd.dynamics.validation.hidden_states import HiddenStateTest as HiddenStateTest
from jaxkd.dynamics.validation.hidden_states import hidden_state_test as hidden_state_test
from jaxkd.dynamics.validation.trust import Check as Check
from jaxkd.dynamics.validation.trust import trust as trust
