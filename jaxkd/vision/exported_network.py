"""Exported network as a model that a stage evaluates."""

import dataclasses
from pathlib import Path

from jaxkd.training.evaluator import ModelSource
from jaxkd.vision import exported
from jaxkd.vision.network import NetworkModel


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportedNetwork(ModelSource):
    """Network in a folder of `python -m jaxkd.export`."""

    path: str
    """Folder with network.json and model.safetensors."""

    def validate(self) -> None:
        if not exported.is_exported(Path(self.path)):
            raise ValueError(
                f"path must be a folder with {exported.CONFIG}, got {self.path}. Export a run to it first."
            )
        exported.load_network(Path(self.path))

    def provenance(self) -> str:
        return f"{type(exported.load_network(Path(self.path))).__name__} exported to {self.path}"

    def load_model(self) -> NetworkModel:
        return exported.load(Path(self.path))
