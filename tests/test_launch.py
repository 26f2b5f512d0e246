"""The launch scripts: they parse, they start the program, and they speak its variables."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from jaxkd.sharding import mesh

LAUNCH = Path(__file__).parent.parent / "launch"
SCRIPTS = sorted(path for path in LAUNCH.iterdir() if path.suffix in (".sh", ".sbatch"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_is_valid_bash(script):
    subprocess.run(["bash", "-n", str(script)], check=True)


@pytest.mark.parametrize("path", sorted(LAUNCH.iterdir()), ids=lambda path: path.name)
def test_only_variables_that_the_program_reads_are_set(path):
    text = path.read_text()
    known = mesh.initialize_processes.__doc__ or ""
    assert all(name in known for name in re.findall(r"JAXKD_[A-Z_]+", text))
    assert "jaxkd.train" in text


def test_the_kubernetes_job_numbers_its_processes():
    service, job = yaml.safe_load_all((LAUNCH / "gke.yaml").read_text())
    template = job["spec"]["template"]["spec"]
    variables = {entry["name"]: entry.get("value") for entry in template["containers"][0]["env"]}
    assert int(variables["JAXKD_NUM_PROCESSES"]) == job["spec"]["completions"] == job["spec"]["parallelism"]
    assert variables["JAXKD_COORDINATOR"].startswith(f"{job['metadata']['name']}-0.{service['metadata']['name']}:")
    assert template["subdomain"] == service["metadata"]["name"]


def test_one_machine_runs_the_program_with_what_it_was_given(tmp_path):
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$@"\n')
    python.chmod(0o755)
    done = subprocess.run(
        [str(LAUNCH / "one_gpu.sh"), "configs/mine.py", "--dry-run"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["-m", "jaxkd.train", "--config", "configs/mine.py", "--dry-run"]
