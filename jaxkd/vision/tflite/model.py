"""A TFLite file as a pure function."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxkd.runtime.packages import file_sha256
from jaxkd.typing import Params
from jaxkd.vision.tflite import schema
from jaxkd.vision.tflite.reading import Compute
from jaxkd.vision.tflite.reading import computation as computation_of
from jaxkd.vision.tflite.schema import Graph, GraphTensor, Operation

_FLOATS = ("FLOAT32", "FLOAT16")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Described:
    """Input or output of a model."""

    name: str
    shape: tuple[int, ...]
    """Shape for one image, whose first axis has the length 1; the model takes any number of them."""
    dtype: str
    """Dtype in the file: float32 or float16."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Step:
    """Computation of one tensor."""

    compute: Compute
    inputs: tuple[int | None, ...]
    output: int


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _Constant:
    """Numbers that the file holds."""

    name: str
    values: np.ndarray
    axes: tuple[int, ...] | None = None
    """Order of the axes in which they are read; None: that of the file."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class TFLiteModel:
    """Network of a TFLite file: `model(model.params, images)` for any number of images.

    It is a pure function: it can be compiled, mapped and differentiated in reverse mode, by the parameters and by the
    images.  What a delegate of the runtime would skip or fuse is computed as the file has it.
    """

    inputs: tuple[Described, ...]
    outputs: tuple[Described, ...]
    params: Params
    """Weights and biases by their names in the file, of float32; the weights of a convolution are [rows, columns, i,
    o], those of a matrix [i, o]."""
    steps: tuple[_Step, ...]
    input_indices: tuple[int, ...]
    output_indices: tuple[int, ...]
    names: Mapping[int, str]
    """Names of the parameters by the tensors' indices."""

    def __call__(self, params: Params, *images: Float[Array, "b ..."]) -> dict[str, Array]:
        """Return the outputs by their names.

        Args:
            params: parameters, `self.params` or others of their shapes.
            images: one array for each of `inputs`.

        Raises:
            ValueError: arrays of other shapes than those of `inputs`, but for the first axis.
        """
        shapes = [tuple(image.shape) for image in images]
        wanted = [described.shape for described in self.inputs]
        if [shape[1:] for shape in shapes] != [shape[1:] for shape in wanted]:
            text = ", ".join(str(["b", *shape[1:]]).replace("'", "") for shape in wanted)
            raise ValueError(
                f"images must have the shape {text}, got {', '.join(str(list(shape)) for shape in shapes) or 'none'}. "
                "Crop and resize them first."
            )
        arrays: dict[int, Array] = {index: params[name] for index, name in self.names.items()}
        arrays |= dict(zip(self.input_indices, map(jnp.asarray, images), strict=True))
        for step in self.steps:
            arrays[step.output] = step.compute(*(None if index is None else arrays[index] for index in step.inputs))
        return {
            described.name: arrays[index] for described, index in zip(self.outputs, self.output_indices, strict=True)
        }

    @property
    def parameters(self) -> int:
        """Number of parameters."""
        return sum(leaf.size for leaf in jax.tree.leaves(self.params))


def read_tflite(path: Path | str, *, sha256: str | None = None) -> TFLiteModel:
    """Return the network of a TFLite file of floats.

    Weights of half precision become float32 when they are read, as the file's own DEQUANTIZE operations would have it.

    Args:
        path: file of version 3, with one graph, whose operations are of `jaxkd.vision.tflite.reading.KINDS`.
        sha256: hash that the file must have; None accepts any.

    Returns:
        A network whose parameters are on the default device.

    Raises:
        FileNotFoundError: no such file.
        ValueError: another hash, a damaged file or one of another format, an operation that is not known, or tensors of
            other types than floats.

    Source: inferred from the schema and the reference kernels of tensorflow/tensorflow.  Deviation: none.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"path must be a TFLite file, got {path}, which does not exist.")
    if sha256 is not None and (found := file_sha256(path)) != sha256:
        raise ValueError(
            f"path must be the file with sha256 {sha256}, got {found} in {path}. It is of another version or damaged: "
            "download it again."
        )
    content = path.read_bytes()
    try:
        graph = schema.parse(content)
    except ValueError as error:
        raise ValueError(
            f"path must be a whole TFLite file, got {len(content)} bytes in {path} of which {error}. "
            "Download it again, or convert the network anew."
        ) from error
    return _model(graph, path)


def _model(graph: Graph, path: Path) -> TFLiteModel:
    constants = {
        index: _Constant(name=tensor.name, values=tensor.values)
        for index, tensor in enumerate(graph.tensors)
        if tensor.values is not None
    }
    computed, steps = set(graph.inputs), []
    for index, operation in enumerate(graph.operations):
        if operation.kind == "DEQUANTIZE" and operation.inputs and operation.inputs[0] in constants:
            constants |= dict.fromkeys(operation.outputs, constants[operation.inputs[0]])
            continue
        step = _step(operation, index, graph, constants, computed, path)
        steps.append(step)
        computed.add(step.output)
    if missing := [index for index in graph.outputs if index not in computed]:
        raise ValueError(
            f"an output of {path} must be computed from its inputs, got {graph.tensors[missing[0]].name!r}. The file "
            "is damaged: download it again."
        )
    read = sorted({index for step in steps for index in step.inputs if index in constants})
    names = dict(zip(read, _unique_names([constants[index].name for index in read]), strict=True))
    return TFLiteModel(
        inputs=tuple(_described(graph.tensors[index]) for index in graph.inputs),
        outputs=tuple(_described(graph.tensors[index]) for index in graph.outputs),
        params={name: _array(constants[index]) for index, name in names.items()},
        steps=tuple(steps),
        input_indices=graph.inputs,
        output_indices=graph.outputs,
        names=names,
    )


def _step(
    operation: Operation,
    index: int,
    graph: Graph,
    constants: dict[int, _Constant],
    computed: set[int],
    path: Path,
) -> _Step:
    """Return the step of an operation, whose weights are transposed in `constants`."""
    where = f"operation {index}, {operation.kind or 'of no name'}, of {path}"
    tensors = [None if number is None else graph.tensors[number] for number in operation.inputs]
    try:
        computation = computation_of(operation, tensors)
    except ValueError as error:
        raise ValueError(
            f"{where} cannot be computed: {error}. Run the file with LiteRT, or convert the network differently."
        ) from error
    inputs = operation.inputs[: computation.inputs]
    if len(operation.outputs) != 1 or not inputs or inputs[0] is None:
        raise ValueError(
            f"{where} must have inputs and one output, got {operation.inputs} and {operation.outputs}. "
            "The file is damaged: download it again."
        )
    for number in (*inputs, *operation.outputs):
        if number is not None and (tensor := graph.tensors[number]).kind not in _FLOATS:
            raise ValueError(
                f"{where} must have tensors of FLOAT32 or FLOAT16, got {tensor.kind} for {tensor.name!r}. Convert the "
                "network without quantisation to integers."
            )
    for number in inputs:
        if number is not None and number not in computed and number not in constants:
            raise ValueError(
                f"{where} must come after what it reads, got tensor {graph.tensors[number].name!r} before it is "
                "computed. The file is damaged: download it again."
            )
    if computation.axes is not None:
        weights = inputs[1] if len(inputs) > 1 else None
        constant = constants.get(-1 if weights is None else weights)
        if weights is None or constant is None or constant.values.ndim != len(computation.axes):
            raise ValueError(
                f"{where} must have weights of {len(computation.axes)} axes that the file holds, got inputs {inputs}. "
                "Run the file with LiteRT."
            )
        if constant.axes not in (None, computation.axes):
            raise ValueError(f"{where} must have weights of its own, got {constant.name!r}. Run the file with LiteRT.")
        constants[weights] = dataclasses.replace(constant, axes=computation.axes)
    return _Step(compute=computation.compute, inputs=inputs, output=operation.outputs[0])


def _unique_names(names: list[str]) -> list[str]:
    """Return the names, with their place where several are equal or empty."""
    return [name if name and names.count(name) == 1 else f"{name}:{place}" for place, name in enumerate(names)]


def _described(tensor: GraphTensor) -> Described:
    return Described(name=tensor.name, shape=tensor.shape, dtype=tensor.kind.lower())


def _array(constant: _Constant) -> Array:
    values = np.asarray(constant.values, np.float32)
    return jnp.asarray(values if constant.axes is None else np.ascontiguousarray(values.transpose(constant.axes)))
