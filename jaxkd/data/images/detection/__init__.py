"""Images with boxes around objects: folders in the format of COCO, aerial photographs, and augmentation."""

from jaxkd.data.images.detection.aerial import AerialTrees as AerialTrees
from jaxkd.data.images.detection.box_augmentation import BoxAugmentation as BoxAugmentation
from jaxkd.data.images.detection.padding import pad_boxes as pad_boxes
