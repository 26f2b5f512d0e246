"""Layers of networks on images, with the conventions of torch where published networks rely on them."""

from jaxkd.vision.layers.activation import gelu as gelu
from jaxkd.vision.layers.batch_norm import BatchNorm as BatchNorm
from jaxkd.vision.layers.blocked_convolution import blocked_convolution as blocked_convolution
from jaxkd.vision.layers.convolution import conv as conv
from jaxkd.vision.layers.depthwise import Depthwise as Depthwise
from jaxkd.vision.layers.dropout import dropout as dropout
from jaxkd.vision.layers.dropout import dropout_masks as dropout_masks
from jaxkd.vision.layers.group_norm import GroupNorm as GroupNorm
from jaxkd.vision.layers.initialization import uniform_by_inputs as uniform_by_inputs
from jaxkd.vision.layers.layer_norm import layer_norm as layer_norm
from jaxkd.vision.layers.pixelwise import linear as linear
from jaxkd.vision.layers.pixelwise import pixelwise as pixelwise
from jaxkd.vision.layers.pooling import average_pool as average_pool
from jaxkd.vision.layers.pooling import max_pool as max_pool
from jaxkd.vision.layers.pooling import overlapping_max_pool as overlapping_max_pool
from jaxkd.vision.layers.resizing import repeat_pixels as repeat_pixels
from jaxkd.vision.layers.resizing import resize as resize
