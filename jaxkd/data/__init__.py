"""Sources of examples, and typed batches of tokens."""

from jaxkd.data.examples import Example as Example
from jaxkd.data.examples import Source as Source
from jaxkd.data.preferences.examples import Chosen as Chosen
from jaxkd.data.preferences.examples import Preference as Preference
from jaxkd.data.preferences.examples import PreferenceSource as PreferenceSource
from jaxkd.data.preferences.flawed_code import FlawedCode as FlawedCode
from jaxkd.data.preferences.jsonl import PreferenceJsonl as PreferenceJsonl
from jaxkd.data.preferences.revisions import RevisionPairs as RevisionPairs
from jaxkd.data.preferences.text import PreferenceText as PreferenceText
from jaxkd.data.preferences.transcripts import Transcripts as Transcripts
from jaxkd.data.text.hygiene import Hygiene as Hygiene
from jaxkd.data.text.hygiene.contaminated import Contaminated as Contaminated
from jaxkd.data.text.jsonl import Jsonl as Jsonl
from jaxkd.data.text.packed_text import PackedText as PackedText
from jaxkd.data.text.paired_text import PairedText as PairedText
from jaxkd.data.text.prompts.follow_up import FinalAnswer as FinalAnswer
from jaxkd.data.text.prompts.follow_up import FollowUp as FollowUp
from jaxkd.data.text.prompts.follow_up import UserTurn as UserTurn
from jaxkd.data.text.prompts.halves import Half as Half
from jaxkd.data.text.prompts.look_alikes import LookAlikes as LookAlikes
from jaxkd.data.text.standard_library import StandardLibrary as StandardLibrary
