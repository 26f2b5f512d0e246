"""Students made from larger models: fewer layers, narrower layers, fewer tokens, another vocabulary."""

from jaxkd.models.surgery.importance import Statistic as Statistic
from jaxkd.models.surgery.importance import activation_importance as activation_importance
from jaxkd.models.surgery.layer_pruning import check_layers as check_layers
from jaxkd.models.surgery.layer_pruning import evenly_spaced as evenly_spaced
from jaxkd.models.surgery.layer_pruning import keep_layers as keep_layers
from jaxkd.models.surgery.tokenizer_pruning import PrunedTokenizer as PrunedTokenizer
from jaxkd.models.surgery.tokenizer_pruning import prune_tokenizer as prune_tokenizer
from jaxkd.models.surgery.trained_tokenizer import TokenizerKind as TokenizerKind
from jaxkd.models.surgery.trained_tokenizer import train_tokenizer as train_tokenizer
from jaxkd.models.surgery.vocabulary_pruning import keep_rows as keep_rows
from jaxkd.models.surgery.vocabulary_swap import Initialization as Initialization
from jaxkd.models.surgery.vocabulary_swap import RowSources as RowSources
from jaxkd.models.surgery.vocabulary_swap import row_sources as row_sources
from jaxkd.models.surgery.vocabulary_swap import swap_rows as swap_rows
from jaxkd.models.surgery.width_pruning import Importance as Importance
from jaxkd.models.surgery.width_pruning import KeptWidth as KeptWidth
from jaxkd.models.surgery.width_pruning import most_important as most_important
from jaxkd.models.surgery.width_pruning import narrow_config as narrow_config
from jaxkd.models.surgery.width_pruning import prune_width as prune_width
