"""The table of models beside their start, as Markdown."""

from benchmarks.studies.start_table import markdown

LOOPS = {"measure": "loops", "unit": "%", "examples": 1600, "start": 0.0, "models": {"dpo": {"value": 0.338}}}
LENGTH = {
    "measure": "length",
    "unit": "tokens",
    "examples": 4,
    "start": 53.15,
    "models": {"sft": {"value": 50.0, "low": -4.26, "high": 0.5}, "dpo": {"value": None}},
}
FINDINGS = {"sft": [], "dpo": [{"text": "33.8% end in a loop", "seeds": [0, 2]}, {"text": "cut", "seeds": [1]}]}


def test_values_have_the_interval_of_their_difference_and_models_without_a_measure_a_dash():
    kept = {"summary": {"against": {"start": "start", "measures": [LOOPS, LENGTH], "findings": FINDINGS}}}
    assert markdown(kept).splitlines() == [
        "|  | `start` | `dpo` | `sft` |",
        "|---|---|---|---|",
        "| loops (%, n = 1,600) | 0.0 | 33.8 | – |",
        "| length (tokens, n = 4) | 53.1 | – | 50 (−4.3 to +0.5) |",
        "",
        "- `sft`: no finding",
        "- `dpo`: 33.8% end in a loop (seed 0, 2); cut (seed 1)",
    ]
