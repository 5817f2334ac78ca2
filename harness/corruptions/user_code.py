"""Functions of the user's own code, named as ``package.module:function``: imported, called, hashed."""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from hashlib import sha256
from pathlib import Path
from typing import Any

from harness.errors import UsageError

SECONDS = 60.0  # that a call may take


def imported(kind: str, name: str, signature: str) -> Callable[..., Any]:
    """Import a function, also from the working folder. UsageError where there is none."""
    module, _, attribute = name.partition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))  # last, so that nothing there can stand in for an installed module
    try:
        function = getattr(importlib.import_module(module), attribute)
    except (Exception, SystemExit) as error:  # whatever the user's module does when imported
        raise UsageError(f"{kind} {name} cannot be imported: {_described(error)}") from error
    if not callable(function):
        raise UsageError(f"{kind} {name} is a {type(function).__name__}, not a function of {signature}")
    found: Callable[..., Any] = function
    return found


def called(what: str, where: str, call: Callable[[], Any]) -> Any:
    """Call in a thread of its own, since a function that never ends must not keep the run. UsageError if it raises."""
    returned: Future[Any] = Future()

    def run() -> None:
        try:
            returned.set_result(call())
        except BaseException as error:  # sys.exit in a thread would be lost
            returned.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        return returned.result(SECONDS)
    except TimeoutError as error:
        if not returned.done():
            raise UsageError(f"{what} gave nothing within {SECONDS:g} s{where}") from error
        raise UsageError(f"{what} raised{where}: {_described(error)}") from error
    except BaseException as error:
        if not returned.done():
            raise  # not the function's: the user has had enough
        raise UsageError(f"{what} raised{where}: {_described(error)}") from error


def sha256_of(name: str) -> str:
    """Hash the file that an imported function is in; empty where it is in none."""
    file = getattr(sys.modules.get(name.partition(":")[0]), "__file__", None)
    return sha256(Path(file).read_bytes()).hexdigest() if file else ""


def _described(error: BaseException) -> str:
    try:
        text = " ".join(f"{type(error).__name__}: {error}".split())
    except Exception:  # its __str__ is the user's, too
        text = type(error).__name__
    return text if len(text) <= 200 else f"{text[:199]}…"
