"""Records that functions exchange: plain dataclasses, registered as pytrees."""

from jaxkd.records.batches import Alignment as Alignment
from jaxkd.records.batches import OnPolicyBatch as OnPolicyBatch
from jaxkd.records.batches import PairedBatch as PairedBatch
from jaxkd.records.batches import PreferenceBatch as PreferenceBatch
from jaxkd.records.batches import TokenBatch as TokenBatch
from jaxkd.records.batches import TokenSpans as TokenSpans
from jaxkd.records.boxes import Boxes as Boxes
from jaxkd.records.hiddens import ComposedTeacher as ComposedTeacher
from jaxkd.records.hiddens import Head as Head
from jaxkd.records.hiddens import Hiddens as Hiddens
from jaxkd.records.hiddens import TopK as TopK
from jaxkd.records.images import UNLABELLED as UNLABELLED
from jaxkd.records.images import DetectionBatch as DetectionBatch
from jaxkd.records.images import ImageBatch as ImageBatch
from jaxkd.records.images import MaskBatch as MaskBatch
from jaxkd.records.steps import LossOutput as LossOutput
from jaxkd.records.steps import Mean as Mean
from jaxkd.records.steps import Rollout as Rollout
from jaxkd.records.steps import Variables as Variables
