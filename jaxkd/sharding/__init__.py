"""Devices and processes: the mesh, the placement of arrays on it, and the rows that each process reads."""

from jaxkd.sharding.logical_axes import LOGICAL_TO_MESH as LOGICAL_TO_MESH
from jaxkd.sharding.logical_axes import ROWS as ROWS
from jaxkd.sharding.logical_axes import Layout as Layout
from jaxkd.sharding.logical_axes import constrain as constrain
from jaxkd.sharding.logical_axes import partition_spec as partition_spec
from jaxkd.sharding.logical_axes import shard as shard
from jaxkd.sharding.logical_axes import shardings as shardings
from jaxkd.sharding.logical_axes import with_shardings as with_shardings
from jaxkd.sharding.mesh import MeshShape as MeshShape
from jaxkd.sharding.processes import WHOLE as WHOLE
from jaxkd.sharding.processes import Share as Share
from jaxkd.sharding.processes import on_host as on_host
