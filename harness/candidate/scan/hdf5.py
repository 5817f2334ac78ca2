"""The declarations of an HDF5 file, checked before its data are read. HDF5 is a C library: in the worker only."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

from harness.candidate.scan import budget, keras2, text
from harness.candidate.scan.archive import AGAIN, GET_AGAIN, WEIGHTS
from harness.candidate.scan.budget import Rejected
from harness.candidate.scan.values import shortened
from harness.formatting import one_line

_FILTERS = {1: "deflate", 2: "shuffle", 3: "fletcher32"}


def weights(content: bytes) -> None:
    """Raise Rejected unless the weights of a .keras file are plain numbers within their budget."""
    _opened(io.BytesIO(content), f"its {WEIGHTS}")


def model(path: Path) -> tuple[Any, str]:
    """Return the configuration in an .h5 file and the version of Keras that wrote it; Rejected unless it is allowed and
    the rest are plain numbers.
    """
    with path.open("rb") as file:
        if not file.read(1):
            raise Rejected(f"it is empty; {GET_AGAIN}")
    attributes = _opened(path, "it")
    version = one_line(attributes.get("keras_version", b"").decode(errors="replace"), 20)
    configuration = attributes.get("model_config")
    if configuration is None:
        raise Rejected(
            f"it holds weights only, and no model{keras2.written_by(version)};"
            " with the code that made it: model = build(); model.load_weights(this file); model.save('model.keras')"
        )
    described = text.parse(configuration, "model_config")
    keras2.check_either(described, version)
    if (compiled := attributes.get("training_config")) is not None:
        text.no_code(text.parse(compiled, "training_config"))
    return described, version


def _opened(source: Any, what: str) -> dict[str, bytes]:
    """Check every object of the file and return the texts among its root's attributes."""
    import h5py

    try:
        with h5py.File(source, "r") as file:
            _walk(file, what)
            known = [name for name in ("model_config", "training_config", "keras_version") if name in file.attrs]
            return {name: _text(file.attrs[name], name) for name in known}
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, NotImplementedError, UnicodeError) as error:
        raise Rejected(f"{what} is no whole HDF5 file ({one_line(str(error), 80)}); {GET_AGAIN}") from error


def _text(value: Any, name: str) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    if isinstance(value, bytes):
        return value
    raise Rejected(f"its {name} is no text; {AGAIN}")


def _walk(file: Any, what: str) -> None:
    """Visit every group and dataset once: hard links only, numbers only, stored in this file, within the budget."""
    import h5py

    open_, total, described = [(file, 1)], 0, 0
    addresses: set[int] = set()
    while open_:
        group, depth = open_.pop()
        described += _attributes(group, what)
        if depth > budget.MAX_DEPTH:
            raise Rejected(f"{what} is nested too deeply; {budget.MAX_DEPTH} levels are the limit")
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise Rejected(f"{what} holds a link to something else ({shortened(name)}); {AGAIN}")
            member = group[name]
            address = h5py.h5o.get_info(member.id).addr
            if address in addresses or len(addresses) > budget.MAX_OBJECTS:
                raise Rejected(
                    f"{what} holds {shortened(name)} twice, or more than {budget.MAX_OBJECTS} objects; {AGAIN}"
                )
            addresses.add(address)
            if isinstance(member, h5py.Group):
                open_.append((member, depth + 1))
            elif isinstance(member, h5py.Dataset):
                total += _dataset(member, what)
                described += _attributes(member, what)
            else:
                raise Rejected(f"{what} holds {shortened(name)}, neither group nor dataset; {AGAIN}")
        if total > budget.MAX_WEIGHTS_BYTES or described > budget.MAX_ATTRIBUTE_BYTES:
            raise Rejected(f"{what} declares {total:,} bytes of weights; {budget.MAX_WEIGHTS_BYTES:,} are the limit")


def _dataset(dataset: Any, what: str) -> int:
    """Return the declared bytes of a dataset that may be read. Raises Rejected."""
    import h5py

    name = shortened(dataset.name)
    layout = dataset.id.get_create_plist()
    if layout.get_external_count() or layout.get_layout() == h5py.h5d.VIRTUAL:
        raise Rejected(f"{what} keeps {name} in another file; {AGAIN}")
    if any(layout.get_filter(number)[0] not in _FILTERS for number in range(layout.get_nfilters())):
        raise Rejected(f"{what} packs {name} in an unusual way; {AGAIN}")
    if not _is_number(dataset.dtype):
        raise Rejected(f"{what} holds {name} of {shortened(dataset.dtype)}; weights are numbers")
    declared = int(dataset.size or 0) * int(dataset.dtype.itemsize)
    stored = int(dataset.id.get_storage_size())
    if declared > budget.MAX_WEIGHTS_BYTES:
        raise Rejected(f"{what} declares {declared:,} bytes for {name}; {budget.MAX_WEIGHTS_BYTES:,} are the limit")
    if declared > budget.SMALL_BYTES and declared > budget.MAX_COMPRESSION * max(stored, 1):
        raise Rejected(f"{what} declares {declared:,} bytes for {name} and holds {stored:,} of them; {AGAIN}")
    return declared


def _is_number(dtype: Any) -> bool:
    return dtype.kind in "biuf" or (dtype.kind == "V" and dtype.itemsize == 2 and dtype.names is None)  # bfloat16


def _attributes(owner: Any, what: str) -> int:
    """Return the declared bytes of an object's attributes: texts and numbers, of bounded length. Raises Rejected."""
    import h5py

    size = 0
    for name in owner.attrs:
        attribute = h5py.h5a.open(owner.id, name.encode("utf-8", "surrogateescape"))
        kind = attribute.get_type().get_class()
        if kind not in (h5py.h5t.STRING, h5py.h5t.INTEGER, h5py.h5t.FLOAT, h5py.h5t.ENUM):
            raise Rejected(f"{what} has a {shortened(name)} that is neither text nor number; {AGAIN}")
        size += math.prod(attribute.shape) * attribute.get_type().get_size()
        if size > budget.MAX_ATTRIBUTE_BYTES:
            raise Rejected(f"{what} describes itself in {size:,} bytes; {budget.MAX_ATTRIBUTE_BYTES:,} are the limit")
    return size
