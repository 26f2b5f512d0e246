"""Trained network that another recipe reads, such as a teacher."""

import dataclasses
from pathlib import Path

from jaxkd.runtime import configs
from jaxkd.runtime.trained_params import STUDENT, trained_variables
from jaxkd.training.stage import STAGE_PREFIX
from jaxkd.typing import Params
from jaxkd.vision import exported
from jaxkd.vision.network import ImageNetwork, NetworkModel

PARAMS, STATE = "params", "state"


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainedNetwork:
    """Network whose parameters and running statistics a run has learnt, or a folder of `jaxkd.export` holds."""

    network: ImageNetwork
    """Description of the network: it is needed to plan a study before the network is trained."""
    path: str
    """Folder of a training run, "stage:NAME" in a study, or an exported folder."""

    def abstract(self) -> Params:
        """Return shapes and dtypes of `load`."""
        params, state = self.network.abstract()
        return {PARAMS: params, STATE: state}

    def validate(self) -> None:
        """Reject a folder that holds another network.

        The stage that "stage:NAME" stands for is not yet trained, and `load` compares.

        Raises:
            ValueError: another network, by the fields that differ, or a folder without any.
        """
        if not self.path.startswith(STAGE_PREFIX):
            self._require_same(stored_network(Path(self.path)))

    def load(self) -> Params:
        """Return parameters and running statistics, as `outputs` takes them.

        Raises:
            ValueError: as `validate`, or a run without a checkpoint.
        """
        folder = Path(self.path)
        self._require_same(stored_network(folder))
        if exported.is_exported(folder):
            model = exported.load(folder)
            return {PARAMS: model.params, STATE: model.state}
        params, state = self.network.abstract()
        params, statistics = trained_variables(folder, {STUDENT: params}, {STUDENT: state} if state else {})
        return {PARAMS: params[STUDENT], STATE: statistics.get(STUDENT, {})}

    def model(self, variables: Params) -> NetworkModel:
        """Return the network with variables from `load`."""
        return NetworkModel(network=self.network, params=variables[PARAMS], state=variables[STATE])

    def _require_same(self, stored: ImageNetwork) -> None:
        changed = configs.differences(stored, self.network)
        if changed:
            raise ValueError(
                f"network must be the one in {self.path}, got others in {'; '.join(changed)}. Describe it as it was "
                "trained."
            )


def stored_network(folder: Path) -> ImageNetwork:
    """Return the description of the network that a run trained, or that was exported to a folder.

    Raises:
        ValueError: a folder without one.
    """
    if exported.is_exported(folder):
        return exported.load_network(folder)
    path = folder / "config.json"
    network = getattr(getattr(configs.load(path), "recipe", None), "network", None) if path.exists() else None
    if not isinstance(network, ImageNetwork):
        raise ValueError(
            f"path must be the folder of a run that trained a network on images, or of its export, got {folder}."
        )
    return network
