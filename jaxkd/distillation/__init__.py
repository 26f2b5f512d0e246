"""Shared parts of distillation methods: forward passes, frozen models and base classes of recipes."""

from jaxkd.distillation.recipe import Distillation as Distillation
from jaxkd.distillation.student_recipe import StudentRecipe as StudentRecipe
