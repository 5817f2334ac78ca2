"""Metric of triggers, patches of ink that send digits to one class: a backdoor, or a learned shortcut."""

from __future__ import annotations

from harness.errors import NotMeasurable
from harness.formatting import count
from harness.metrics.counting import answers_to, one_column, share
from harness.metrics.registry import Columns, metric
from harness.records import CLEAN, Evidence, Mask, Patch, Scope
from harness.statistics.estimates import Estimate, WorstOf


def reached(evidence: Evidence) -> tuple[Mask, Mask]:
    """Mark the test images that the search did not use and the patch could turn, and those that it turns."""
    trigger = evidence.trigger
    if trigger is None:
        raise NotMeasurable(
            "the evidence holds no search for a trigger: it was skipped, this policy was not the one of the run, or "
            "a digit has fewer than 20 images to search on; harness run without --skip trigger, or with more digits"
        )
    counted, turned = trigger.patch.reached(evidence.labels, answers_to(evidence, CLEAN), trigger.answers)
    return counted & trigger.unseen, turned & trigger.unseen


def patch_in_words(patch: Patch) -> str:
    """Name the size of a patch, its target and its pixels by row and column, each 0 to 27."""
    rows: dict[int, list[int]] = {}
    for row, column in sorted(patch.pixels):
        rows.setdefault(row, []).append(column)
    places = "; ".join(f"row {row} column {', '.join(map(str, columns))}" for row, columns in rows.items())
    size, target = count(len(patch.pixels), "pixel"), "another digit" if patch.target is None else str(patch.target)
    return f"{size} of ink make it {target}: {places}"


def _columns(evidence: Evidence, scope: Scope) -> tuple[Columns, Columns]:
    counted, turned = reached(evidence)
    return one_column(turned, counted)


@metric("at_most", of="trigger", columns=_columns, section="robustness")
def trigger_success(evidence: Evidence, scope: Scope) -> Estimate:
    """Share of images that a small patch of ink, found by a search on other digits, sends to one class.

    Of the images that are not of that class and not answered so without the patch; where the patch found turns digits
    to any class, of those that are answered right without it. The search sees predictions only, and a better patch may
    exist.
    """
    counted, turned = reached(evidence)
    if evidence.trigger is None or not counted.any():
        raise NotMeasurable("no image is left that a patch could send elsewhere")
    return WorstOf([share(evidence, turned, counted)], "at_most", [patch_in_words(evidence.trigger.patch)])
