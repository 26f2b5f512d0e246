"""Decoder language models: networks, checkpoints, surgery and names."""

from jaxkd.models.checkpoints.language_model import LanguageModel as LanguageModel
from jaxkd.models.checkpoints.pretrained import Pretrained as Pretrained
from jaxkd.models.transformer.architecture import DecoderConfig as DecoderConfig
from jaxkd.models.transformer.architecture import LinearScaling as LinearScaling
from jaxkd.models.transformer.architecture import Llama3Scaling as Llama3Scaling
from jaxkd.models.transformer.architecture import YarnScaling as YarnScaling
from jaxkd.models.transformer.lora import LoRA as LoRA
