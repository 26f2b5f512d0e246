"""Each family's config.json, read and written.  `jaxkd.models.checkpoints.config` chooses among them."""
