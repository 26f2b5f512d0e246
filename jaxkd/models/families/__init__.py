"""Each family's config.json, read and written.  `jaxkd.models.config` chooses among them."""
