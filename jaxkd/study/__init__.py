"""Studies: stages that run in order, seed by seed, and what they report."""

from jaxkd.study.answers.writers import RecordedAnswers as RecordedAnswers
from jaxkd.study.cache_stage import Cache as Cache
from jaxkd.study.clean_stage import Clean as Clean
from jaxkd.study.evaluate_stage import Evaluate as Evaluate
from jaxkd.study.generate_stage import Generate as Generate
from jaxkd.study.preference_labels_stage import PreferenceLabels as PreferenceLabels
from jaxkd.study.runs import TrainedModel as TrainedModel
from jaxkd.study.study import Study as Study
from jaxkd.study.study import run_study as run_study
