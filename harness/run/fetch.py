"""Models of a registry as files, for as long as they are needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from harness.outputs import mlflow_client
from harness.sandbox.temporary import temporary


@contextmanager
def fetched(paths: Sequence[Path]) -> Iterator[dict[Path, tuple[Path, str]]]:
    """Download the models that are named by an address, for the duration of a block.

    Gives for each address the file, and the address with the version in place of an alias. UsageError where there is
    no such model.
    """
    addresses = [path for path in paths if mlflow_client.is_address(path)]
    if not addresses:
        yield {}
        return
    files: dict[Path, tuple[Path, str]] = {}
    with temporary() as folder:
        with mlflow_client.connected() as client:
            for address in addresses:
                name, version = mlflow_client.pinned(client, str(address))
                exact = f"models:/{name}/{version}"
                same = next((file for file, other in files.values() if other == exact), None)
                files[address] = (same or mlflow_client.fetch(client, name, version, folder), exact)
        yield files
