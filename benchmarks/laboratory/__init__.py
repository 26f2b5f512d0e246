"""The laboratory: a study of distillation methods that are trained until they stop improving."""
