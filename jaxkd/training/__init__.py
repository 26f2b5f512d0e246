"""One training loop for every method: recipe, optimizer, compiled step, checkpoints, validation."""

from jaxkd.training.evaluator import Column as Column
from jaxkd.training.evaluator import Evaluator as Evaluator
from jaxkd.training.evaluator import Measure as Measure
from jaxkd.training.evaluator import ModelSource as ModelSource
from jaxkd.training.optimizer import Group as Group
from jaxkd.training.optimizer import Optimizer as Optimizer
from jaxkd.training.recipe import Count as Count
from jaxkd.training.recipe import Curve as Curve
from jaxkd.training.recipe import Recipe as Recipe
from jaxkd.training.results.evaluation import Evaluation as Evaluation
from jaxkd.training.stage import Stage as Stage
from jaxkd.training.train_stage import Train as Train
