"""The launch scripts: they parse, they start the program, and they speak its variables."""

import json
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from jaxkd.runtime import compilation_cache, packages
from jaxkd.runtime.program import INTERRUPTED
from jaxkd.sharding import mesh

LAUNCH = Path(__file__).parent.parent / "launch"
SCRIPTS = sorted(path for path in LAUNCH.iterdir() if path.suffix in (".sh", ".sbatch"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_is_valid_bash(script):
    subprocess.run(["bash", "-n", str(script)], check=True)


@pytest.mark.parametrize("path", sorted(LAUNCH.iterdir()), ids=lambda path: path.name)
def test_only_variables_that_the_program_reads_are_set(path):
    text = path.read_text()
    known = (mesh.initialize_processes.__doc__ or "") + (packages.cache_folder.__doc__ or "")
    assert all(name in known for name in re.findall(r"JAXKD_[A-Z_]+", text))
    assert "jaxkd.train" in text


def test_the_kubernetes_job_numbers_its_processes():
    service, job = yaml.safe_load_all((LAUNCH / "gke.yaml").read_text())
    template = job["spec"]["template"]["spec"]
    variables = {entry["name"]: entry.get("value") for entry in template["containers"][0]["env"]}
    assert int(variables["JAXKD_NUM_PROCESSES"]) == job["spec"]["completions"] == job["spec"]["parallelism"]
    assert variables["JAXKD_COORDINATOR"].startswith(f"{job['metadata']['name']}-0.{service['metadata']['name']}:")
    assert template["subdomain"] == service["metadata"]["name"]


def test_the_kubernetes_job_starts_stopped_pods_again_however_often():
    _, job = yaml.safe_load_all((LAUNCH / "gke.yaml").read_text())
    (container,) = job["spec"]["template"]["spec"]["containers"]
    exits, disruptions = job["spec"]["podFailurePolicy"]["rules"]
    assert exits == {
        "action": "Ignore",
        "onExitCodes": {"containerName": container["name"], "operator": "In", "values": [INTERRUPTED]},
    }
    assert disruptions["action"] == "Ignore"
    # Kubernetes accepts a podFailurePolicy with this restart policy alone.
    assert job["spec"]["template"]["spec"]["restartPolicy"] == "Never"


def test_the_kubernetes_job_runs_the_image_and_keeps_its_caches_on_the_shared_disk():
    _, job = yaml.safe_load_all((LAUNCH / "gke.yaml").read_text())
    (container,) = job["spec"]["template"]["spec"]["containers"]
    image = (LAUNCH / "Dockerfile").read_text()
    assert f"ENTRYPOINT {json.dumps(container['command'])}" in image
    assert f"WORKDIR {container['workingDir']}\n" in image
    copied = [word for line in re.findall(r"^COPY (.*)", image, re.M) for word in line.split()[:-1]]
    assert all((LAUNCH.parent / name).exists() for name in copied)
    (disk,) = (mount["mountPath"] for mount in container["volumeMounts"])
    caches = {entry["name"]: entry["value"] for entry in container["env"] if "CACHE" in entry["name"]}
    assert caches.keys() == {"JAXKD_CACHE", compilation_cache.VARIABLE}
    assert all(path.startswith(f"{disk}/") for path in caches.values())


SLURM = {
    "scontrol": 'if [ "$1" = show ]; then echo node1; else echo "scontrol $*" >> "$LOG"; fi',
    "scancel": 'echo "scancel $*" >> "$LOG"; kill -TERM -"$(cat "$LOG.group")"',
    # A task is in a process group of its own, as under Slurm.
    "srun": 'shift; export SLURM_NTASKS=1 SLURM_PROCID=0\nset -m\n"$@" & echo $! > "$LOG.group"; wait $!; exit $?',
    "sleep": 'echo "sleep $*" >> "$LOG"',
}
"""Slurm's commands, as far as the script uses them; they log what they were told."""


def slurm_job(folder, python, *, signal_after="running", **commands):
    """Run the script with a `python` of these lines; USR1 arrives when the log has a line `signal_after`."""
    for name, lines in (SLURM | commands | {"python": python}).items():
        path = folder / name
        path.write_text(f"#!/bin/bash\n{lines}\n")
        path.chmod(0o755)
    log = folder / "log"
    log.touch()
    job = subprocess.Popen(
        [str(LAUNCH / "slurm.sbatch"), "configs/mine.py", "--only", "kd"],
        env={"PATH": f"{folder}:/usr/bin:/bin", "LOG": str(log), "SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "node1"},
    )
    while job.poll() is None:
        if signal_after in log.read_text().splitlines():
            job.send_signal(signal.SIGUSR1)
            signal_after = None
        time.sleep(0.01)
    return job.returncode, log.read_text().splitlines()


def test_a_slurm_job_that_was_stopped_is_queued_again(tmp_path):
    status, log = slurm_job(
        tmp_path, f'echo "$JAXKD_PROCESS_ID of $JAXKD_NUM_PROCESSES: $*" >> "$LOG"; exit {INTERRUPTED}'
    )
    assert status == INTERRUPTED
    assert log == ["0 of 1: -m jaxkd.train --config configs/mine.py --only kd", "sleep 20", "scontrol requeue 7"]


@pytest.mark.parametrize("status", [0, 1])
def test_a_slurm_job_that_is_done_or_failed_is_not(tmp_path, status):
    assert slurm_job(tmp_path, f"exit {status}") == (status, [])


# Where `scancel` takes a second, the tasks have ended before the script waits for them again.
@pytest.mark.parametrize("scancel", [SLURM["scancel"], f"{SLURM['scancel']}; /bin/sleep 1"], ids=["at once", "slow"])
def test_a_slurm_job_at_its_time_limit_stops_the_run_and_is_queued_again(tmp_path, scancel):
    program = f"""trap 'echo saved >> "$LOG"; exit {INTERRUPTED}' TERM; echo running >> "$LOG"
for _ in $(seq 3000); do /bin/sleep 0.01; done"""
    status, log = slurm_job(tmp_path, program, scancel=scancel)
    assert status == INTERRUPTED
    assert log == ["running", "scancel --signal=TERM 7", "saved", "sleep 20", "scontrol requeue 7"]


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
