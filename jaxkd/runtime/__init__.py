"""Files and processes of a run, without models: checkpoints, configs, metrics, progress, interrupts, packages."""
