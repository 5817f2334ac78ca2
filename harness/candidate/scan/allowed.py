"""The names that a configuration may hold, chosen from Keras 3.15.1 class by class: pure functions of numbers.

Left out on purpose: what holds or names code (Lambda, TFSMLayer, TorchModuleWrapper, JaxLayer, FlaxLayer), what reads
files (the lookup layers, TextVectorization), what no image needs (audio, hashing, text), and base classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


def words(text: str) -> frozenset[str]:
    """Split a text into a set of names."""
    return frozenset(text.split())


def _ranks(text: str) -> frozenset[str]:
    """Append the dimensions to a name: ``"Cropping" -> Cropping1D, Cropping2D, Cropping3D``."""
    return frozenset(f"{name}{rank}D" for name in text.split() for rank in (1, 2, 3))


ACTIVATION_LAYERS = words("Activation ELU LeakyReLU PReLU ReLU Softmax")
LAYERS = ACTIVATION_LAYERS.union(
    words("InputLayer Dense EinsumDense Embedding Identity Masking"),
    _ranks("Conv"),
    words("Conv1DTranspose Conv2DTranspose Conv3DTranspose"),
    words("DepthwiseConv1D DepthwiseConv2D SeparableConv1D SeparableConv2D"),
    _ranks("MaxPooling AveragePooling GlobalMaxPooling GlobalAveragePooling AdaptiveMaxPooling AdaptiveAveragePooling"),
    words("Flatten Reshape Permute RepeatVector") | _ranks("Cropping UpSampling ZeroPadding"),
    words("BatchNormalization GroupNormalization LayerNormalization RMSNormalization UnitNormalization"),
    words("SpectralNormalization ActivityRegularization AlphaDropout Dropout GaussianDropout GaussianNoise"),
    _ranks("SpatialDropout ConvLSTM"),
    words("Add Average Concatenate Dot Maximum Minimum Multiply Subtract"),
    words("LSTM GRU SimpleRNN RNN LSTMCell GRUCell SimpleRNNCell StackedRNNCells Bidirectional TimeDistributed"),
    words("Attention AdditiveAttention MultiHeadAttention GroupQueryAttention GroupedQueryAttention"),
    words("Normalization Rescaling Resizing CenterCrop Pipeline AutoContrast Equalization Solarization AugMix"),
    words("RandAugment RandomBrightness RandomColorDegeneration RandomColorJitter RandomContrast RandomCrop"),
    words("RandomElasticTransform RandomErasing RandomFlip RandomGaussianBlur RandomGrayscale RandomHue RandomInvert"),
    words("RandomPerspective RandomPosterization RandomRotation RandomSaturation RandomSharpness RandomShear"),
    words("RandomTranslation RandomZoom"),
)
LAYER_MODULES = (None, "keras.layers")  # None: the older form, which an .h5 file still has

MODELS = {
    "Sequential": (None, "keras", "keras.models"),
    "Functional": (None, "keras", "keras.models", "keras.src.models.functional"),
    "Model": (None, "keras", "keras.models"),
}

# Arithmetic between layers of a functional model.
OPERATIONS = {
    "keras.src.ops.numpy": words(
        "Absolute Abs Add Subtract Multiply Divide TrueDivide Negative Power Square Sqrt Exp Log Clip Maximum Minimum"
        " Mean Sum Max Min Amax Amin Reshape Ravel ExpandDims Squeeze Transpose Swapaxes Moveaxis Concatenate Stack"
        " Matmul Flip Tanh GetItem"
    ),
    "keras.src.ops.nn": words(
        "Relu Relu6 Sigmoid Softplus Softsign Silu LeakyRelu HardSigmoid HardSilu Elu Selu Gelu Celu Softmax LogSoftmax"
        " LogSigmoid"
    ),
    "keras.src.ops.core": frozenset({"Cast"}),
}

ACTIVATIONS = words(
    "celu elu exponential gelu glu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu linear"
    " log_sigmoid log_softmax mish relu relu6 selu sigmoid silu soft_shrink softmax softplus softsign sparse_plus"
    " sparse_sigmoid sparsemax squareplus swish tanh tanh_shrink threshold"
)
ACTIVATION_MODULES = ("builtins", "keras.activations", "keras.ops", "keras.ops.nn", "keras.ops.numpy")

INITIALIZERS = words(
    "Constant GlorotNormal GlorotUniform HeNormal HeUniform Identity IdentityInitializer LecunNormal LecunUniform Ones"
    " Orthogonal OrthogonalInitializer RandomNormal RandomUniform TruncatedNormal VarianceScaling Zeros constant"
    " glorot_normal glorot_uniform he_normal he_uniform identity lecun_normal lecun_uniform normal one ones orthogonal"
    " random_normal random_uniform truncated_normal uniform variance_scaling zero zeros"
)
REGULARIZERS = words("L1 L1L2 L2 OrthogonalRegularizer l1 l1l2 l2 orthogonal_regularizer")
CONSTRAINTS = words("MaxNorm MinMaxNorm NonNeg UnitNorm max_norm min_max_norm non_neg unit_norm")
POLICIES = frozenset({"DTypePolicy", "FloatDTypePolicy", "Policy"})
POLICY_MODULES = (None, "keras", "keras.mixed_precision")
QUANTISED = {"QuantizedDTypePolicy": "keras.dtype_policies", "Int8QuantizationConfig": "keras.quantizers"}
QUANTIZERS = frozenset({"AbsMaxQuantizer"})
DTYPES = words(
    "bool float16 float32 float64 bfloat16 mixed_float16 mixed_bfloat16 int8 int16 int32 int64 uint8 uint16 uint32"
    " uint64"
)

# What an inner model was compiled with: Keras reads it even where compiling was not asked for.
COMPILED = {
    "keras.optimizers": words("Adadelta Adafactor Adagrad Adam AdamW Adamax Ftrl Lamb Lion Nadam RMSprop SGD"),
    "keras.optimizers.schedules": words(
        "CosineDecay CosineDecayRestarts ExponentialDecay InverseTimeDecay PiecewiseConstantDecay PolynomialDecay"
    ),
    "keras.losses": words(
        "BinaryCrossentropy CategoricalCrossentropy CategoricalFocalCrossentropy Huber KLDivergence MeanAbsoluteError"
        " MeanSquaredError Poisson SparseCategoricalCrossentropy"
    ),
    "keras.metrics": words(
        "AUC Accuracy BinaryAccuracy CategoricalAccuracy CategoricalCrossentropy F1Score Mean MeanAbsoluteError"
        " MeanSquaredError Precision Recall SparseCategoricalAccuracy SparseCategoricalCrossentropy"
        " SparseTopKCategoricalAccuracy TopKCategoricalAccuracy"
    ),
}
COMPILED_FUNCTIONS = words(
    "binary_crossentropy categorical_crossentropy categorical_focal_crossentropy huber kl_divergence"
    " mean_absolute_error mean_squared_error poisson sparse_categorical_crossentropy accuracy binary_accuracy"
    " categorical_accuracy sparse_categorical_accuracy top_k_categorical_accuracy"
    " sparse_top_k_categorical_accuracy"
)

# Functions of keras.layers: the older form turns a string of such a name into the function.
FUNCTIONS_BY_STRING = words("Input add average concatenate deserialize dot maximum minimum multiply serialize subtract")


@dataclass(frozen=True)
class Names:
    """The layers and models that one release of Keras may be asked for, with the modules that it names them by."""

    layers: frozenset[str]
    layer_modules: tuple[str | None, ...]
    models: Mapping[str, tuple[str | None, ...]]
    operations: Mapping[str, frozenset[str]]
    functions: frozenset[str] = frozenset()  # of TensorFlow, which a layer TFOpLambda may name
    function_modules: tuple[str | None, ...] = ()


KERAS_3 = Names(LAYERS, LAYER_MODULES, MODELS, OPERATIONS)

# Of tf_keras 2.21, class by class as above. It imports whatever module a .keras file names, and has no safe mode for
# HDF5: this list is what keeps code out.
_NEWER = words(
    "AugMix AutoContrast Equalization GroupQueryAttention GroupedQueryAttention Pipeline RMSNormalization RandAugment"
    " RandomColorDegeneration RandomColorJitter RandomElasticTransform RandomErasing RandomGaussianBlur RandomGrayscale"
    " RandomHue RandomInvert RandomPerspective RandomPosterization RandomSaturation RandomSharpness RandomShear"
    " Solarization"
) | _ranks("AdaptiveMaxPooling AdaptiveAveragePooling")
KERAS_2 = Names(
    (LAYERS - _NEWER) | words("BatchNormalizationV1 BatchNormalizationV2 ThresholdedReLU RandomHeight RandomWidth"),
    LAYER_MODULES,
    {
        "Sequential": (None, "keras", "keras.models"),
        "Functional": (
            *(None, "keras", "keras.models", "keras.engine.functional", "keras.src.engine.functional"),
            "tf_keras.src.engine.functional",
        ),
        "Model": (None, "keras", "keras.models"),
    },
    {},
    words(
        "__operators__.add math.add math.divide math.maximum math.minimum math.multiply math.sigmoid math.subtract"
        " math.tanh math.truediv nn.relu nn.softmax expand_dims reshape"
    ),
    (None, "keras.layers", "keras.src.layers.core.tf_op_layer", "tf_keras.src.layers.core.tf_op_layer"),
)
