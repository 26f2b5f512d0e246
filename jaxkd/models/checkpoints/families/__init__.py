"""Reading and writing of each family's config.json; `jaxkd.models.checkpoints.config` selects the family."""
