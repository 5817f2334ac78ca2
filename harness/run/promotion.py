"""The alias of a registered model, moved to the version that a finished run allows, and to no other."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import policy
from harness.errors import NotRecorded, UsageError
from harness.formatting import command_line, one_line
from harness.outputs import mlflow, mlflow_client
from harness.records import Run
from harness.run import replay
from harness.run.finished_run import FinishedRun, open_finished
from harness.sandbox.temporary import temporary


@dataclass(frozen=True)
class Promotion:
    """Outcome of a promotion: exit code 0 where the alias stands at the version; else it stayed."""

    exit_code: int
    sentence: str


def promote(out: Path, name: str, alias: str) -> Promotion:
    """Move an alias of a registered model to the version that holds the model of the run in ``out``.

    It stays where the verdict does not allow the release. UsageError where the version, the policy or the release that
    the run was held against is not the one that the alias asks for; it stays then, too.
    """
    finished = open_finished(out)
    run = finished.run
    word, shown = run.verdict.word.replace("_", " "), f"{one_line(name, 80)}@{one_line(alias, 80)}"
    if run.verdict.exit_code:
        return Promotion(run.verdict.exit_code, f"{shown} stays: {word}: {one_line(run.verdict.sentence, 300)}")
    _check_record(finished, out)
    tags = mlflow.tags(run, finished.run_sha256)
    with temporary() as folder, mlflow_client.connected() as client:
        model = mlflow_client.find(client, name)
        before = str(model.aliases.get(alias, ""))
        version = _version(client, tags, out, name, folder)
        tag = f"harness.policy_sha256.{alias}"
        _check_policy(run, model.tags.get(tag), shown, tag)
        if before == version:
            return Promotion(0, f"{shown} is version {version} already")
        if before:
            _check_release(client, run, name, before, version, shown, folder)
        mlflow_client.tag_version(client, name, version, tags)
        if tag not in model.tags:
            client.set_registered_model_tag(name, tag, run.policy.sha256)
        now = mlflow_client.find(client, name)
        _check_policy(run, now.tags.get(tag), shown, tag)
        if str(now.aliases.get(alias, "")) != before:
            raise UsageError(f"{shown} was moved by somebody else meanwhile; {_beside(shown)}")
        client.set_registered_model_alias(name, alias, version)
    was = f", was version {before}" if before else ""
    return Promotion(0, f"{shown} is version {version}{was}: {word}")


def _check_record(finished: FinishedRun, out: Path) -> None:
    """Raise UsageError where the evidence does not give the record; code of the user's, which measures, is not run."""
    with suppress(NotRecorded):
        if differing := replay.difference(finished, policy.parse(finished.run.policy)):
            raise UsageError(
                f"{one_line(str(out), 200)}/run.json: {one_line(differing, 300)}; judge the model anew before you "
                "promote it"
            )


def _version(client: Any, tags: Mapping[str, str], out: Path, name: str, folder: Path) -> str:
    """Return the version that was logged for the judged model.

    UsageError where there is none, or it holds other bytes.
    """
    shown, judged = one_line(name, 80), tags["harness.model_sha256"]
    version = mlflow_client.version_of(client, name, tags)
    if not version:
        command = command_line(["harness", "mlflow", "log", str(out), "--register", name])
        raise UsageError(f"no version of {shown} has the judged model {judged[:10]} in its tags; log it: {command}")
    held = mlflow_client.model_hash(client, name, version, folder)
    if held != judged:
        raise UsageError(
            f"version {version} of {shown} holds the model {held[:10]}, and its tags name {judged[:10]}, which was "
            "judged; delete that version, and log the run again"
        )
    return version


def _check_policy(run: Run, required: str | None, shown: str, tag: str) -> None:
    """Raise UsageError where the first promotion to this alias was by another policy."""
    if required not in (None, run.policy.sha256):
        raise UsageError(
            f"{shown} requires the policy {one_line(str(required), 64)[:10]}, and the run was judged by "
            f"{run.policy.sha256[:10]}; judge it by that one (harness gate), or change the model's tag {tag}"
        )


def _check_release(client: Any, run: Run, name: str, before: str, version: str, shown: str, folder: Path) -> None:
    """Raise UsageError where the alias has another version than the run was held against, or a newer one."""
    if run.baseline is None:
        if int(before) > int(version):
            raise UsageError(f"{shown} is version {before}, newer than version {version} of this run; {_beside(shown)}")
        return
    held = mlflow_client.model_hash(client, name, before, folder)
    if held != run.baseline.sha256:
        raise UsageError(
            f"{shown} is version {before} with the model {held[:10]}, and the run was held against "
            f"{run.baseline.sha256[:10]}; {_beside(shown)}"
        )


def _beside(shown: str) -> str:
    return f"judge the model again beside it: harness run MODEL --baseline models:/{shown}"
