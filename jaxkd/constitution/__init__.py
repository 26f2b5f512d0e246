"""Constitutions: principles for critiques, revisions and comparisons, and turns of the user drawn from them."""

from jaxkd.constitution.code_critic import NO_FLAW as NO_FLAW
from jaxkd.constitution.code_critic import CodeCritic as CodeCritic
from jaxkd.constitution.code_critic import CodeJudge as CodeJudge
from jaxkd.constitution.code_critic import Flawless as Flawless
from jaxkd.constitution.code_critic import last_answer_flaws as last_answer_flaws
from jaxkd.constitution.demonstrations import Demonstrated as Demonstrated
from jaxkd.constitution.demonstrations import WithoutDemonstrations as WithoutDemonstrations
from jaxkd.constitution.preference_labels import LabelStatistics as LabelStatistics
from jaxkd.constitution.preference_labels import PairLabel as PairLabel
from jaxkd.constitution.principles import Constitution as Constitution
from jaxkd.constitution.principles import PreferencePrinciple as PreferencePrinciple
from jaxkd.constitution.principles import Principle as Principle
from jaxkd.constitution.reading import EIGHT_PRINCIPLES as EIGHT_PRINCIPLES
from jaxkd.constitution.reading import FUNCTION_PRINCIPLES as FUNCTION_PRINCIPLES
from jaxkd.constitution.reading import read_constitution as read_constitution
from jaxkd.constitution.turns import Critique as Critique
from jaxkd.constitution.turns import Revision as Revision
