"""A SavedModel read as a program: every function that loading or calling could run is checked against a list.

In the worker only: TensorFlow itself reads the file's description, and has to be there for that.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.candidate.scan import budget
from harness.candidate.scan.allowed import words
from harness.candidate.scan.budget import Rejected
from harness.candidate.scan.values import shortened

SIGNATURE = "serving_default"
WAY_OUT = "only arithmetic on tensors is let through; give the .keras file, or export with model.export('folder')"
MAX_OPERATIONS = 100_000  # operations in all functions

# Arithmetic, shapes, convolution, random numbers, and control flow; nothing that knows files, tables, hosts or code.
OPERATIONS = words(
    "Abs Acos Acosh Add AddN AddV2 AdjustContrastv2 AdjustHue AdjustSaturation All Any ArgMax ArgMin Asin Asinh"
    " AssignAddVariableOp AssignSubVariableOp AssignVariableOp Atan Atan2 Atanh AvgPool AvgPool3D BatchMatMul"
    " BatchMatMulV2 BatchMatMulV3 BatchToSpaceND BiasAdd Bitcast BitwiseAnd BitwiseOr BroadcastArgs BroadcastTo"
    " Bucketize Cast Ceil Concat ConcatOffset ConcatV2 Const Conv2D Conv2DBackpropInput Conv3D"
    " Conv3DBackpropInputV2 Cos Cosh CropAndResize CudnnRNN CudnnRNNBackprop CudnnRNNBackpropV2 CudnnRNNBackpropV3"
    " CudnnRNNV2 CudnnRNNV3 Cumprod Cumsum DenseBincount DepthwiseConv2dNative Diag Div DivNoNan Einsum Elu"
    " EnsureShape Equal Erf Erfc Exp ExpandDims Expm1 Fill Floor FloorDiv FloorMod FusedBatchNorm FusedBatchNormV2"
    " FusedBatchNormV3 Gather GatherNd GatherV2 Greater GreaterEqual HSVToRGB Identity IdentityN If"
    " ImageProjectiveTransformV2 ImageProjectiveTransformV3 Inv InvertPermutation IsFinite IsInf IsNan LeakyRelu"
    " LeftShift Less LessEqual LinSpace Log Log1p LogSoftmax LogicalAnd LogicalNot LogicalOr MatMul MatrixBandPart"
    " MatrixSolve Max MaxPool MaxPool3D MaxPoolV2 Maximum Mean Min Minimum MirrorPad Mod Mul Multinomial Neg NoOp"
    " NotEqual OneHot OnesLike Pack Pad PadV2 PartitionedCall Placeholder PlaceholderWithDefault Pow"
    " PreventGradient Prod RGBToHSV RandomStandardNormal RandomUniform RandomUniformInt Range Rank ReadVariableOp"
    " RealDiv Reciprocal Relu Relu6 Reshape ResizeArea ResizeBicubic ResizeBilinear ResizeNearestNeighbor"
    " ResourceGather Reverse ReverseSequence ReverseV2 RightShift Rint RngReadAndSkip Roll Round Rsqrt ScatterNd"
    " Select SelectV2 Selu Shape ShapeN Sigmoid Sign Sin Sinh Size Slice Softmax Softplus Softsign SpaceToBatchND"
    " Split SplitV Sqrt Square SquaredDifference Squeeze StatefulPartitionedCall StatelessIf"
    " StatelessRandomGammaV3 StatelessRandomGetAlg StatelessRandomGetKeyCounter StatelessRandomNormalV2"
    " StatelessRandomUniformIntV2 StatelessRandomUniformV2 StatelessTruncatedNormalV2 StatelessWhile StopGradient"
    " StridedSlice Sub Sum Tan Tanh TensorListElementShape TensorListFromTensor TensorListGetItem TensorListLength"
    " TensorListPushBack TensorListReserve TensorListSetItem TensorListStack Tile TopKV2 Transpose TruncatedNormal"
    " Unpack VariableShape Where While Xdivy Xlogy ZerosLike"
)
# What a model is saved and restored with: only in functions that nothing calls.
SAVING = words(
    "DisableCopyOnRead MergeV2Checkpoints RestoreV2 SaveV2 ShardedFilename StaticRegexFullMatch StringJoin VarHandleOp"
    " VarIsInitializedOp"
)
_OBJECTS = words("user_object variable function bare_concrete_function constant captured_tensor")
_REGISTERED = ("", "tf.TrackableConstant")
# Names that hang something into an object of TensorFlow's own, where it may be called: these alone are let through.
_INNER_NAMES = words("_all_variables _misc_assets _self_tracked_trackables __call__") | words(
    "_average_gradients _default_save_signature _endpoint_names _endpoint_signatures _fn_kwargs _generator _index_dict"
    " _iterations _jit_compiled_convolution_op _learning_rate _momentums _random_generator _state_var _u_product"
    " _update_step_xla _variables _velocities"  # of Keras 2; TensorFlow calls none of them
)


def check(folder: Path) -> None:
    """Raise Rejected unless everything that could run is arithmetic, called through the serving signature."""
    saved = _parsed(folder / "saved_model.pb")
    if len(saved.meta_graphs) != 1 or not saved.meta_graphs[0].HasField("object_graph_def"):
        raise Rejected(f"it is not one model of TensorFlow 2; {WAY_OUT}")
    graph = saved.meta_graphs[0]
    if SIGNATURE not in graph.signature_def:
        raise Rejected(f"it has no signature {SIGNATURE!r}; {WAY_OUT}")
    _objects(graph.object_graph_def)
    functions = {function.signature.name: function for function in graph.graph_def.library.function}
    if sum(len(function.node_def) for function in functions.values()) > MAX_OPERATIONS:
        raise Rejected(f"it holds more than {MAX_OPERATIONS:,} operations; a digit model has a few hundred")
    run = _reachable(set(_roots(graph.object_graph_def)), functions)
    for name, function in functions.items():
        _operations(function.node_def, functions, OPERATIONS if name in run else OPERATIONS | SAVING)
    _operations(graph.graph_def.node, functions, OPERATIONS | SAVING)


def _parsed(path: Path) -> Any:
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel()
    try:
        saved.ParseFromString(path.read_bytes())
    except (DecodeError, RecursionError, ValueError) as error:
        raise Rejected(f"its {path.name} is damaged ({shortened(error)}); {WAY_OUT}") from error
    return saved


def _objects(graph: Any) -> None:
    """Check that no object runs code or reads a file of its own accord while it is made."""
    if len(graph.nodes) > budget.MAX_OBJECTS:
        raise Rejected(f"it holds more than {budget.MAX_OBJECTS:,} objects; a digit model has a few hundred")
    parameters = 0
    for node in graph.nodes:
        kind = node.WhichOneof("kind") or "nothing"
        if kind not in _OBJECTS:
            raise Rejected(f"it holds an object of kind {shortened(kind)}, which may read files or run; {WAY_OUT}")
        if node.saveable_objects.keys() or node.registered_saver or node.registered_name not in _REGISTERED:
            raise Rejected(f"it holds an object that is restored in a way of its own; {WAY_OUT}")
        for child in node.children:
            if child.local_name.startswith("_") and child.local_name not in _INNER_NAMES:
                raise Rejected(f"it holds an object under the name {shortened(child.local_name)}; {WAY_OUT}")
        if kind == "variable":
            size = 1
            for dimension in node.variable.shape.dim:
                size *= max(dimension.size, 1)
            parameters += size
    if parameters > budget.MAX_PARAMETERS:
        raise Rejected(f"it declares {parameters:,} parameters; {budget.MAX_PARAMETERS:,} are the limit")


def _roots(graph: Any) -> Iterator[str]:
    """Collect the functions that become callable when the objects are made."""
    yield from graph.concrete_functions
    for node in graph.nodes:
        kind = node.WhichOneof("kind")
        if kind == "function":
            yield from node.function.concrete_functions
        elif kind == "bare_concrete_function":
            yield node.bare_concrete_function.concrete_function_name


def _reachable(roots: set[str], functions: dict[str, Any]) -> set[str]:
    open_, names = list(roots), set(roots)
    while open_:
        function = functions.get(open_.pop())
        for node in function.node_def if function is not None else ():
            for name in (node.op, *_called(node)):
                if name in functions and name not in names:
                    names.add(name)
                    open_.append(name)
    return names


def _called(node: Any) -> Iterator[str]:
    for attribute in node.attr.values():
        if attribute.HasField("func"):
            yield attribute.func.name
        yield from (function.name for function in attribute.list.func)


def _operations(nodes: Any, functions: dict[str, Any], allowed: frozenset[str]) -> None:
    for node in nodes:
        if node.op not in allowed and node.op not in functions:
            raise Rejected(f"it runs the operation {shortened(node.op)}, which is not on the list; {WAY_OUT}")
