"""Images with boxes around objects: folders in the format of COCO, aerial photographs, and augmentation."""

from jaxkd.data.images.detection.aerial import AerialTrees as AerialTrees
from jaxkd.data.images.detection.box_augmentation import BoxAugmentation as BoxAugmentation
from jaxkd.data.images.detection.coco_counts import CocoCounts as CocoCounts
from jaxkd.data.images.detection.coco_folder import CocoFolder as CocoFolder
from jaxkd.data.images.detection.coco_folder import Modalities as Modalities
from jaxkd.data.images.detection.padding import pad_boxes as pad_boxes
from jaxkd.data.images.detection.source import DetectionSource as DetectionSource
