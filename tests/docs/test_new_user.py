"""The commands that the guide shows for a reader's own models and files, run as they stand by a shell."""

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import pytest

from benchmarks.methods.packaged_tokenizers import mistral_v1
from jaxkd.models import Pretrained
from jaxkd.models.checkpoints import huggingface
from jaxkd.models.transformer import decoder
from jaxkd.runtime.program import INTERRUPTED
from tests.models import tiny

PAGE = Path("docs/own_model_and_data.md")
SECTION = "## From your own files, in nine commands"

SMALL = {"--steps 1000": "--steps 12", "--rows 8": "--rows 2", "--length 512": "--length 96", "--lora 16": "--lora 2"}
"""Sizes of the page, and those of this test."""

SMALL_MODEL = dataclasses.replace(tiny.LLAMA, depth=1, max_positions=512)


def block(language):
    """The one fenced block of a language in the section."""
    section = PAGE.read_text().partition(f"{SECTION}\n")[2].partition("\n## ")[0]
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", section, flags=re.MULTILINE | re.DOTALL)
    return found


def commands():
    """The commands of the section; one may take several lines."""
    lines = block("bash").splitlines()
    starts = [index for index, line in enumerate(lines) if not line.startswith(" ")]
    return ["\n".join(lines[begin:end]) for begin, end in zip(starts, [*starts[1:], None], strict=True)]


def write_rows(folder):
    """Questions about Python's own types, as rows of the three forms that the page shows."""
    methods = [
        (f"{kind.__name__}.{name}", getattr(kind, name).__doc__.partition("\n\n")[0])
        for kind in (str, bytes, dict, list, set, float)
        for name in dir(kind)
        if not name.startswith("_") and len(getattr(kind, name).__doc__) > 20
    ]
    forms = {
        "dolly": lambda name, text: {
            "instruction": "Say what this method does.",
            "context": name,
            "response": text,
            "category": "closed_qa",
        },
        "completions": lambda name, text: {"prompt": f"What does {name} do?", "completion": text},
        "conversations": lambda name, text: {
            "conversations": [{"from": "human", "value": f"Explain {name}."}, {"from": "gpt", "value": text}]
        },
    }
    folder.mkdir()
    for number, (name, form) in enumerate(forms.items()):
        rows = [form(*one) for one in methods[number :: len(forms)]]
        assert rows[0].keys() == json.loads(block("json").splitlines()[number]).keys()
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def start(command, folder):
    for shown, here in SMALL.items():
        command = command.replace(shown, here)
    changes = {
        "XLA_FLAGS": os.environ["XLA_FLAGS"].replace("device_count=8", "device_count=1"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(Path.cwd()),
    }
    return subprocess.Popen(
        ["bash", "-c", command],
        cwd=folder,
        env=os.environ | changes,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(command, folder):
    process = start(command, folder)
    stdout, stderr = process.communicate(timeout=300)
    assert process.returncode == 0, f"{command}\n{stderr}"
    return stdout, stderr


def interrupt(command, folder, log):
    """Run a command, and press Ctrl-C after its first steps."""
    process = start(command, folder)
    deadline = time.monotonic() + 240
    while process.poll() is None and not (log.exists() and log.read_text().count("\n") >= 2):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=120)
    return process.returncode, stderr


def write_model(folder, tokenizer, *, key):
    """A llama of one narrow layer with random weights."""
    config = dataclasses.replace(SMALL_MODEL, vocab_size=len(tokenizer))
    params = jax.device_get(jax.jit(decoder.init, static_argnums=0)(config, jax.random.key(key)))
    params = jax.tree.map(lambda leaf: 5 * leaf if leaf.ndim > 1 else leaf, params)
    huggingface.save(folder, config, params, tokenizer=tokenizer)


@pytest.mark.slow
def test_the_commands_lead_from_files_to_a_model_that_transformers_runs(smollm2_folder, tmp_path):
    pytest.importorskip("torch")
    write_model(tmp_path / "models/teacher", Pretrained(path=str(smollm2_folder)).tokenizer(), key=0)
    write_model(tmp_path / "models/student", mistral_v1().tokenizer, key=1)
    write_rows(tmp_path / "data")

    install, join, align, plan, first, again, export, generate, transformers = commands()
    assert install == "pip install -c constraints.txt -e '.[oracle]'"
    assert first == again
    run(join, tmp_path)
    assert "have a partner with the same bytes" in run(align, tmp_path)[0]
    planned, _ = run(plan, tmp_path)
    assert "=== kd" in planned
    assert "DSKDv2ETA" in planned
    status, stderr = interrupt(first, tmp_path, tmp_path / "runs/student_from_teacher/sft/0/metrics.jsonl")
    assert status == INTERRUPTED, stderr
    assert "stopped by SIGINT after step" in stderr
    table, stderr = run(again, tmp_path)
    assert "resuming at step" in stderr
    assert "student_distilled" in table
    page = (tmp_path / "runs/student_from_teacher/report.html").read_text()
    assert "python -m jaxkd.distill --teacher models/teacher" in page
    assert "read back equal" in run(export, tmp_path)[0]
    ours, theirs = (run(command, tmp_path)[0] for command in (generate, transformers))
    assert len(ours.strip()) > 10
    assert ours == theirs
