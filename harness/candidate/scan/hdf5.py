"""What an HDF5 file declares, looked at before anything of it is read. HDF5 is a C library: in the worker only."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

from harness.candidate.scan import budget, config, sizes, text
from harness.candidate.scan.archive import AGAIN, WEIGHTS
from harness.candidate.scan.budget import Rejected
from harness.formatting import one_line

_FILTERS = {1: "deflate", 2: "shuffle", 3: "fletcher32"}


def weights(content: bytes) -> None:
    """Rejected unless the weights of a .keras file are plain numbers within their budget."""
    _opened(io.BytesIO(content), f"its {WEIGHTS}")


def model(path: Path) -> None:
    """Rejected unless an .h5 file holds an allowed configuration and plain numbers."""
    with path.open("rb") as file:
        if not file.read(1):
            raise Rejected(f"it is empty; {AGAIN}")
    attributes = _opened(path, "it")
    found = attributes.get("model_config")
    if found is None:
        raise Rejected("it holds weights only, and no model; save the whole model with model.save('model.keras')")
    described = text.parse(found, "model_config")
    config.check(described)
    sizes.check(described)
    if (compiled := attributes.get("training_config")) is not None:
        text.no_code(text.parse(compiled, "training_config"))


def _opened(source: Any, what: str) -> dict[str, bytes]:
    """Walk everything in the file; the texts in its root's attributes."""
    import h5py

    try:
        with h5py.File(source, "r") as file:
            _walk(file, what)
            known = [name for name in ("model_config", "training_config") if name in file.attrs]
            return {name: _text(file.attrs[name], name) for name in known}
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, NotImplementedError, UnicodeError) as error:
        raise Rejected(f"{what} is no whole HDF5 file ({one_line(str(error), 80)}); {AGAIN}") from error


def _text(value: Any, name: str) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    if isinstance(value, bytes):
        return value
    raise Rejected(f"its {name} is no text; {AGAIN}")


def _walk(file: Any, what: str) -> None:
    """Every group and dataset once: hard links only, numbers only, stored in this file, within the budget."""
    import h5py

    open_, total, described = [(file, 1)], 0, 0
    seen: set[int] = set()
    while open_:
        group, depth = open_.pop()
        described += _attributes(group, what)
        if depth > budget.MOST_DEPTH:
            raise Rejected(f"{what} is nested too deeply; {budget.MOST_DEPTH} levels are the limit")
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise Rejected(f"{what} holds a link to something else ({_said(name)}); {AGAIN}")
            found = group[name]
            address = h5py.h5o.get_info(found.id).addr
            if address in seen or len(seen) > budget.MOST_OBJECTS:
                raise Rejected(f"{what} holds {_said(name)} twice, or more than {budget.MOST_OBJECTS} objects; {AGAIN}")
            seen.add(address)
            if isinstance(found, h5py.Group):
                open_.append((found, depth + 1))
            elif isinstance(found, h5py.Dataset):
                total += _dataset(found, what)
                described += _attributes(found, what)
            else:
                raise Rejected(f"{what} holds {_said(name)}, neither group nor dataset; {AGAIN}")
        if total > budget.MOST_WEIGHTS or described > budget.MOST_ATTRIBUTES:
            raise Rejected(f"{what} declares {total:,} bytes of weights; {budget.MOST_WEIGHTS:,} are the limit")


def _dataset(found: Any, what: str) -> int:
    """The declared bytes of a dataset that may be read."""
    import h5py

    name = _said(found.name)
    layout = found.id.get_create_plist()
    if layout.get_external_count() or layout.get_layout() == h5py.h5d.VIRTUAL:
        raise Rejected(f"{what} keeps {name} in another file; {AGAIN}")
    if any(layout.get_filter(at)[0] not in _FILTERS for at in range(layout.get_nfilters())):
        raise Rejected(f"{what} packs {name} in an unusual way; {AGAIN}")
    if not _is_number(found.dtype):
        raise Rejected(f"{what} holds {name} of {_said(found.dtype)}; weights are numbers")
    declared = int(found.size or 0) * int(found.dtype.itemsize)
    stored = int(found.id.get_storage_size())
    if declared > budget.MOST_WEIGHTS:
        raise Rejected(f"{what} declares {declared:,} bytes for {name}; {budget.MOST_WEIGHTS:,} are the limit")
    if declared > budget.SMALL and declared > budget.MOST_RATIO * max(stored, 1):
        raise Rejected(f"{what} declares {declared:,} bytes for {name} and holds {stored:,} of them; {AGAIN}")
    return declared


def _is_number(dtype: Any) -> bool:
    return dtype.kind in "biuf" or (dtype.kind == "V" and dtype.itemsize == 2 and dtype.names is None)  # bfloat16


def _attributes(found: Any, what: str) -> int:
    """The declared bytes of an object's attributes: texts and numbers, of bounded length."""
    import h5py

    size = 0
    for name in found.attrs:
        attribute = h5py.h5a.open(found.id, name.encode("utf-8", "surrogateescape"))
        kind = attribute.get_type().get_class()
        if kind not in (h5py.h5t.STRING, h5py.h5t.INTEGER, h5py.h5t.FLOAT, h5py.h5t.ENUM):
            raise Rejected(f"{what} has a {_said(name)} that is neither text nor number; {AGAIN}")
        size += math.prod(attribute.shape) * attribute.get_type().get_size()
        if size > budget.MOST_ATTRIBUTES:
            raise Rejected(f"{what} describes itself in {size:,} bytes; {budget.MOST_ATTRIBUTES:,} are the limit")
    return size


def _said(value: object) -> str:
    return one_line(str(value), 60)
