"""Files of packages from other registries than Python's, through the clients of these registries."""
