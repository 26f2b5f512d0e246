"""The harnesses are optional."""

import subprocess
import sys

import pytest

from jaxkd.harness.extras import needed

PROGRAM = """
import sys
sys.modules["lm_eval"] = sys.modules["inspect_ai"] = None
from jaxkd.harness import inspect, lm_eval
for use in (lm_eval.harness_model, inspect.provider):
    try:
        use()
    except ImportError as error:
        print(error)
lm_eval.main()
"""


def test_without_its_extra_an_adapter_says_how_to_get_it():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    first, second = done.stdout.splitlines()
    assert first == "jaxkd.harness needs lm_eval. Install the extra: pip install 'jaxkd-distill[lm-eval]'."
    assert second == "jaxkd.harness needs inspect_ai. Install the extra: pip install 'jaxkd-distill[inspect]'."
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"error: {first}", "the command line ends with one message"


def test_what_a_harness_itself_misses_is_not_taken_for_the_harness(tmp_path, monkeypatch):
    (tmp_path / "broken_harness.py").write_text("import missing_below")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModuleNotFoundError, match="missing_below"):
        needed("broken_harness", extra="lm-eval")
