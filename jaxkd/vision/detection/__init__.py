"""Detection of objects: networks with a pyramid of maps, their outputs, and which cell learns which object."""

from jaxkd.vision.detection.early_fusion import EarlyFusion as EarlyFusion
from jaxkd.vision.detection.maps import DetectionMaps as DetectionMaps
from jaxkd.vision.detection.maps import WeakMaps as WeakMaps
from jaxkd.vision.detection.medium_fusion import MediumFusion as MediumFusion
