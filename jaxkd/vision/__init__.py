"""Networks on images: their descriptions, layers and architectures, and the recipe that trains them."""

from jaxkd.vision.exported_network import ExportedNetwork as ExportedNetwork
from jaxkd.vision.network import ImageNetwork as ImageNetwork
from jaxkd.vision.network import NetworkModel as NetworkModel
from jaxkd.vision.pixels import Standardised as Standardised
from jaxkd.vision.recipe import NetworkRecipe as NetworkRecipe
from jaxkd.vision.trained_network import TrainedNetwork as TrainedNetwork
