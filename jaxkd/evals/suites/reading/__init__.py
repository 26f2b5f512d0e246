"""Reading of suite folders: everything is checked before anything runs, and every fault has its file and line."""
