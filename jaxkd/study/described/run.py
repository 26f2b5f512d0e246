"""Study that a program makes of a few options: its config file is shown, and it is planned or run."""

import sys
from pathlib import Path

from jaxkd.study.plans import print_plans
from jaxkd.study.program import prepare_process, run_and_report
from jaxkd.study.study import Study


def run_described(
    study: Study,
    config_text: str,
    *,
    workdir: Path,
    command: str,
    write_config: Path | None = None,
    dry_run: bool = False,
    target: str | None = None,
) -> None:
    """Print the config file of a study, and run it.

    Args:
        study: study that the file describes.
        config_text: text of the file.
        workdir: folder of the study.
        command: command as the user typed it, for the report.
        write_config: file to write the text to as well; folders are created.
        dry_run: print plans of the stages instead of running them.
        target: accelerators to plan for, as in `jaxkd.study.plans`.
    """
    sys.stdout.write(f"{config_text}\n")
    if write_config is not None:
        write_config.parent.mkdir(parents=True, exist_ok=True)
        write_config.write_text(config_text, encoding="utf-8")
    prepare_process(study)
    if dry_run:
        print_plans(study, workdir, target=target)
    else:
        run_and_report(study, workdir, command=command)
