"""Evaluations of texts as `Generations` returns them, without a model."""

from jaxkd.data import Example, Jsonl, PackedText
from jaxkd.evals import Generations
from jaxkd.evals.language.generation_metric import Generation
from jaxkd.models import Pretrained
from jaxkd.training import Evaluation
from jaxkd.training.results.evaluation import Sample

START = Pretrained(path="start")


def generations(*metrics, label="generations", teacher=None, count=4):
    """An evaluator that is never called."""
    text = PackedText(source=Jsonl(test="prompts.jsonl"), rows=count, length=64, targets=32)
    return Generations(student=START, teacher=teacher, data=text, count=count, label=label, metrics=metrics)


def generated(evaluator, texts, *, prompts=None, ended=None, sequence_kl=None):
    """The evaluation of a model that has answered so."""
    prompts = [f"{evaluator.label} {number}?" for number in range(len(texts))] if prompts is None else prompts
    ended = [True] * len(texts) if ended is None else ended
    examples = [
        Example(key=f"k{number}", group="", messages=(("user", prompt),), response="")
        for number, prompt in enumerate(prompts)
    ]
    answers = [
        Generation(example=example, text=text, ended=end)
        for example, text, end in zip(examples, texts, ended, strict=True)
    ]
    lengths = tuple(float(len(text.split())) for text in texts)
    columns = {"ended": tuple(map(float, ended)), "length": lengths}
    metrics = {"length": sum(lengths) / len(lengths)}
    if sequence_kl is not None:
        columns["sequence_kl"] = tuple(sequence_kl)
        metrics["sequence_kl"] = sum(sequence_kl) / len(sequence_kl)
    for metric in evaluator.metrics:
        found = metric(answers)
        metrics |= {f"{metric.name}/{name}": value for name, value in found.metrics.items()}
        columns |= {f"{metric.name}/{name}": column for name, column in found.per_example.items()}
    return Evaluation(
        metrics=metrics,
        keys=tuple(example.key for example in examples),
        per_example=columns,
        samples=tuple(
            Sample(prompt=prompt, reference="", text=text) for prompt, text in zip(prompts, texts, strict=True)
        ),
    )
