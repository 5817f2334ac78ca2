"""The child's description of its model, validated field by field: a hostile child may send anything."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.candidate.parent.candidate_file import CandidateFile
from harness.candidate.protocol import wire
from harness.errors import SubjectFault
from harness.formatting import one_line
from harness.records import InputContract, Layer, ModelFacts, PixelType, Precision

_MAX_LAYERS = 500
Shape: TypeAlias = Annotated[list[int | None], Field(max_length=9)]
Count: TypeAlias = Annotated[int, Field(ge=0, lt=1 << 53)]


class _Layer(BaseModel):
    model_config = ConfigDict(strict=True)

    name: str
    kind: str
    output: str
    parameters: Count


class _Description(BaseModel):
    model_config = ConfigDict(strict=True)

    kind: str
    inputs: Annotated[list[Shape], Field(max_length=100)]
    outputs: Annotated[list[Shape], Field(max_length=100)]
    parameters: Count
    layers: list[_Layer]
    preprocess: str
    preprocess_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    range: Annotated[list[Annotated[float, Field(allow_inf_nan=False)]], Field(min_length=2, max_length=2)] | None
    one_hot: bool
    takes: PixelType
    precision: Precision
    keras: Annotated[str, Field(pattern=r"^(2[0-9.]{0,12})?$")]


def facts(candidate: CandidateFile, header: wire.Header, contract: InputContract | None = None) -> ModelFacts:
    """Validate a child's description and make ModelFacts of it. SubjectFault where a field is missing or has a wrong
    type.

    ``contract``: that of a shipped kind; otherwise the child says what its module promises.
    """
    try:
        description = _Description.model_validate(header)
    except ValidationError as error:
        first = error.errors()[0]
        why = one_line(f"{'.'.join(map(str, first['loc']))}: {first['msg']}", 120)
        raise SubjectFault(f"what it says of itself cannot be: {why}") from error
    return ModelFacts(
        name=one_line(candidate.name, 120),
        sha256=candidate.sha256,
        size=candidate.size,
        kind=one_line(description.kind, 80),
        inputs=tuple(map(tuple, description.inputs)),
        outputs=tuple(map(tuple, description.outputs)),
        parameters=description.parameters,
        layers=tuple(
            Layer(one_line(x.name, 80), one_line(x.kind, 80), one_line(x.output, 80), x.parameters)
            for x in description.layers[:_MAX_LAYERS]
        ),
        preprocess=one_line(description.preprocess, 120),
        preprocess_sha256=description.preprocess_sha256,
        contract=_contract(description, contract),
        keras=description.keras,
        precision=description.precision,
    )


def _contract(description: _Description, shipped: InputContract | None) -> InputContract | None:
    if shipped is not None:
        return replace(shipped, dtype=description.takes) if shipped.kind == "raw" else shipped
    contract = InputContract(one_hot=description.one_hot)
    if description.range is not None:
        low, high = description.range
        contract = replace(contract, kind="own", low=low, high=high, dtype=description.takes)
    return None if contract == InputContract() else contract
