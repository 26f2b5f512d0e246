"""Evaluators, written once and used by every recipe, and the statistics to compare their results."""

from jaxkd.evals.headline import BITS_PER_BYTE as BITS_PER_BYTE
from jaxkd.evals.headline import Headline as Headline
from jaxkd.evals.judges.chat import Chat as Chat
from jaxkd.evals.judges.endpoint import Endpoint as Endpoint
from jaxkd.evals.judges.judge4 import Judge4 as Judge4
from jaxkd.evals.judges.local_model import LocalModel as LocalModel
from jaxkd.evals.judges.model_judge import LikelihoodJudge as LikelihoodJudge
from jaxkd.evals.judges.model_judge import ModelJudge as ModelJudge
from jaxkd.evals.judges.pairwise import Judge as Judge
from jaxkd.evals.judges.rating import RatingJudge as RatingJudge
from jaxkd.evals.judges.recorded_chat import RecordedChat as RecordedChat
from jaxkd.evals.judges.recorded_judge import RecordedJudge as RecordedJudge
from jaxkd.evals.language.aligned_teacher import AlignedTeacher as AlignedTeacher
from jaxkd.evals.language.bits_per_byte import BitsPerByte as BitsPerByte
from jaxkd.evals.language.code_check import CodeCheck as CodeCheck
from jaxkd.evals.language.generation_metric import GenerationMetric as GenerationMetric
from jaxkd.evals.language.generations import Generations as Generations
from jaxkd.evals.language.health import Health as Health
from jaxkd.evals.language.preference_accuracy import PreferenceAccuracy as PreferenceAccuracy
from jaxkd.evals.language.reference_kl import ReferenceKL as ReferenceKL
from jaxkd.evals.language.samples import Samples as Samples
from jaxkd.evals.language.suite_scores import SuiteScores as SuiteScores
from jaxkd.evals.language.surface_accuracy import SurfaceAccuracy as SurfaceAccuracy
from jaxkd.evals.language.win_rate import Judged as Judged
from jaxkd.evals.language.win_rate import WinRate as WinRate
