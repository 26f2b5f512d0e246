from jaxkd.evals import SuiteScores
from jaxkd.runtime import metric_writer
from tests.evals.suites import folders


def test_a_suite_is_asked_at_the_cadence_of_the_validation_and_chooses_the_best_step(tiny, tmp_path):
    yaml = folders.YAML.partition("  - id: facts")[0]
    scores = SuiteScores(suite=str(folders.write(tmp_path / "small", yaml=yaml)), template="plain")
    train = tiny.train(
        tiny.sft(),
        steps=2,
        evaluate_every=1,
        validation=(scores,),
        evaluators=(),
        keep_best="capitals.accuracy",
        better="higher",
    )
    train.run(tmp_path / "run", seed=0, stages={})
    name = "validation/capitals.accuracy"
    found = [row[name] for row in metric_writer.read(tmp_path / "run") if name in row]
    assert len(found) == 2
    assert all(0 <= value <= 100 for value in found)
