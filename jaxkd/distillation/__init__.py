"""What methods that distil have in common: models meet batches, and the losses meet their recipe."""

from jaxkd.distillation.recipe import Distillation as Distillation
from jaxkd.distillation.student_recipe import StudentRecipe as StudentRecipe
