"""The aggregate of the suite `transport` on the published results of TransportationGames.

Source: arXiv 2401.04471 and the leaderboard of its site: accuracies, Rouge-L and judge's scores by task, and their sum.
"""

from collections.abc import Mapping, Sequence

from benchmarks.row import Bar, Row
from jaxkd.evals.suites.aggregates import Aggregate, parse
from jaxkd.evals.suites.transport.folder import SUM, SUM_MULTIMODAL

TEXT_TASKS = ("T1", "T2", "T4", "T5", "T6", "T9", "T10")
IMAGE_TASKS = ("T3", "T4", "T6", "T7", "T8", "T9")
ANSWERED = ("T1", "T2", "T3")
"""Tasks with an accuracy; the others have a Rouge-L and a judge's score."""

TEXT_MODELS: Mapping[str, Sequence[float]] = {
    "GPT-4": (81.33, 80.89, 21.2, 88.6, 44.3, 99.5, 10.6, 97.6, 19.4, 93.6, 18.1, 95.4, 750.52),
    "Qwen-14B-Chat": (80.12, 84.89, 20.2, 82.6, 39.2, 97.5, 12.6, 96.0, 20.8, 87.7, 16.4, 89.4, 727.34),
    "Yi-6B-Chat": (79.16, 87.78, 14.8, 85.6, 39.5, 97.8, 7.5, 98.0, 17.3, 85.4, 11.4, 92.7, 717.00),
    "Baichuan2-13B-Chat": (69.04, 77.11, 22.9, 83.8, 35.9, 97.3, 9.0, 97.3, 18.8, 93.0, 13.8, 93.9, 711.72),
    "Qwen-7B-Chat": (71.81, 82.22, 17.7, 79.7, 39.5, 97.2, 12.7, 96.9, 19.9, 83.4, 16.5, 84.9, 702.44),
    "ChatGLM3-6B": (63.98, 71.56, 21.0, 83.5, 36.1, 96.4, 9.1, 95.1, 19.0, 89.6, 14.9, 89.1, 689.43),
    "InternLM-Chat-20B": (62.89, 76.44, 11.0, 50.8, 49.6, 95.7, 12.1, 96.9, 22.2, 90.4, 17.2, 92.0, 677.21),
    "InternLM-Chat-7B": (62.65, 66.00, 18.7, 72.7, 37.8, 87.6, 15.4, 88.0, 19.9, 81.1, 17.5, 89.6, 656.81),
    "LLaMA2-Chinese-13B-Chat": (49.64, 62.89, 16.1, 75.5, 35.6, 94.0, 10.1, 88.3, 20.4, 84.1, 14.1, 77.1, 627.65),
}
"""Metrics in the order of `TEXT_TASKS`, then the published sum."""
IMAGE_MODELS: Mapping[str, Sequence[float]] = {
    "Qwen-VL-Chat": (54.47, 9.3, 75.1, 15.3, 86.7, 7.4, 70.5, 20.6, 85.9, 14.4, 64.5, 504.15),
    "InternLM-XComposer-7B": (48.94, 8.9, 77.9, 16.1, 86.4, 10.5, 56.4, 32.7, 67.7, 19.7, 77.6, 502.76),
    "TransCore-M": (46.81, 8.0, 79.3, 11.6, 82.1, 7.2, 60.8, 13.2, 80.3, 19.1, 77.6, 486.01),
    "LLaVA-v1.5-13B": (48.94, 10.3, 67.4, 14.0, 79.3, 6.5, 54.4, 15.9, 67.6, 18.3, 77.9, 460.51),
    "Chinese-LLaVA-Baichuan": (20.43, 6.9, 73.5, 9.9, 84.6, 4.2, 60.5, 10.3, 73.4, 14.0, 82.0, 439.80),
    "VisualGLM-6B": (26.38, 10.1, 73.0, 11.6, 77.6, 7.4, 64.0, 8.8, 75.2, 14.6, 65.6, 434.18),
    "mPLUG-Owl2": (40.43, 11.6, 64.0, 14.8, 71.1, 8.8, 48.3, 22.7, 60.8, 14.9, 70.4, 427.66),
    "Chinese-LLaVA-Cllama2": (8.09, 7.6, 65.5, 10.3, 83.5, 4.5, 54.1, 9.3, 74.7, 12.2, 79.5, 409.39),
}
"""Metrics in the order of `IMAGE_TASKS`, then the published sum."""
COUNTS: Mapping[tuple[str, str], tuple[int, int]] = {
    ("GPT-4", "T1"): (675, 830),
    ("GPT-4", "T2"): (364, 450),
    ("Qwen-VL-Chat", "T3"): (128, 235),
}
"""Right answers and questions that give an accuracy, by model and task."""

ROUNDED = Bar(relation="<=", limit=0.2)
"""Each of up to twelve terms of a sum is rounded, most of them to 0.1."""
TO_THE_DIGIT = Bar(relation="<", limit=0.005)


def rows(quick: bool) -> tuple[Row, ...]:
    """Compare sums and accuracies with the published ones; quick is the same."""
    del quick
    differences = [
        *(_difference(SUM, metrics(TEXT_TASKS, values), values[-1]) for values in TEXT_MODELS.values()),
        *(_difference(SUM_MULTIMODAL, metrics(IMAGE_TASKS, values), values[-1]) for values in IMAGE_MODELS.values()),
    ]
    found = [
        Row(figure="transport: published sums", value=len(differences), unit="rows"),
        Row(figure="transport: largest difference from a published sum", value=max(differences), unit="", bar=ROUNDED),
    ]
    for (model, task), (right, asked) in COUNTS.items():
        difference = abs(100 * right / asked - published(model, task))
        figure = f"transport: {right} of {asked}, difference from the published accuracy of {model} on {task}"
        found.append(Row(figure=figure, value=difference, unit="%", bar=TO_THE_DIGIT))
    return tuple(found)


def metrics(tasks: Sequence[str], values: Sequence[float]) -> dict[str, float]:
    """Return the metrics of a published row under the names that aggregates use."""
    names = [
        f"{task}.{metric}"
        for task in tasks
        for metric in (("accuracy",) if task in ANSWERED else ("rouge_l", "judge4"))
    ]
    return dict(zip(names, values[:-1], strict=True))


def published(model: str, task: str) -> float:
    """Return the published accuracy of a model in percent."""
    if model in TEXT_MODELS:
        return metrics(TEXT_TASKS, TEXT_MODELS[model])[f"{task}.accuracy"]
    return metrics(IMAGE_TASKS, IMAGE_MODELS[model])[f"{task}.accuracy"]


def _difference(expression: str, values: Mapping[str, float], expected: float) -> float:
    found = Aggregate(name="SUM", expression=parse(expression)).of(values)
    if found.value is None or found.partial:
        raise ValueError(f"the aggregate must be complete, got none of {', '.join(found.missing)}.")
    return abs(found.value - expected)
