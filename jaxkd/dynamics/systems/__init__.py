"""Known systems, to learn from and to test with."""

from jaxkd.dynamics.systems.attractor import OnAttractor as OnAttractor
from jaxkd.dynamics.systems.autonomous import DAMPED_OSCILLATOR as DAMPED_OSCILLATOR
from jaxkd.dynamics.systems.autonomous import DUFFING as DUFFING
from jaxkd.dynamics.systems.autonomous import FITZHUGH_NAGUMO as FITZHUGH_NAGUMO
from jaxkd.dynamics.systems.autonomous import LORENZ as LORENZ
from jaxkd.dynamics.systems.autonomous import LOTKA_VOLTERRA as LOTKA_VOLTERRA
from jaxkd.dynamics.systems.autonomous import ROSSLER as ROSSLER
from jaxkd.dynamics.systems.autonomous import SYSTEMS as SYSTEMS
from jaxkd.dynamics.systems.autonomous import TOLERANCE as TOLERANCE
from jaxkd.dynamics.systems.autonomous import VAN_DER_POL as VAN_DER_POL
from jaxkd.dynamics.systems.autonomous import Initial as Initial
from jaxkd.dynamics.systems.autonomous import Normal as Normal
from jaxkd.dynamics.systems.autonomous import System as System
from jaxkd.dynamics.systems.autonomous import Uniform as Uniform
from jaxkd.dynamics.systems.autonomous import with_noise as with_noise
from jaxkd.dynamics.systems.driven import DRIVEN as DRIVEN
from jaxkd.dynamics.systems.driven import HOPF as HOPF
from jaxkd.dynamics.systems.driven import INTEGRATOR as INTEGRATOR
from jaxkd.dynamics.systems.driven import PENDULUM as PENDULUM
from jaxkd.dynamics.systems.driven import PITCHFORK as PITCHFORK
from jaxkd.dynamics.systems.driven import DrivenSystem as DrivenSystem
from jaxkd.dynamics.systems.driven import RandomDrive as RandomDrive
from jaxkd.dynamics.systems.grid_equations import GridEquations as GridEquations
from jaxkd.dynamics.systems.grid_systems import DIFFUSION_REACTION as DIFFUSION_REACTION
from jaxkd.dynamics.systems.grid_systems import GridSystem as GridSystem
from jaxkd.dynamics.systems.grid_systems import RandomWaves as RandomWaves
