"""Images and their targets: sources, augmentation, and batches for training."""

from jaxkd.data.images.augmentation import Augmentation as Augmentation
from jaxkd.data.images.augmentation import ImageAugmentation as ImageAugmentation
from jaxkd.data.images.batches import image_batches as image_batches
from jaxkd.data.images.brain_tissue import BrainTissue as BrainTissue
from jaxkd.data.images.folder import ImageFolder as ImageFolder
from jaxkd.data.images.lesions.source import Lesions as Lesions
from jaxkd.data.images.nuclei import Nuclei as Nuclei
from jaxkd.data.images.source import ImageExample as ImageExample
from jaxkd.data.images.source import ImageSource as ImageSource
from jaxkd.data.images.source import require_disjoint_groups as require_disjoint_groups
