"""A metric is one entry: one that is added here is known to policy, gates, power, report, API and reference."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import harness
from harness import policy, report
from harness.cli import main
from harness.errors import UsageError
from harness.judging import power
from harness.judging.gates import judge_all
from harness.metrics import evaluate, reference, registry, table
from harness.metrics.counting import answers_to, one_column
from harness.metrics.registry import Columns, Exact, metric
from harness.records import CLEAN, Evidence, Gate, Scope, SessionFacts
from harness.statistics.estimates import Estimate, Share
from tests.support import samples

ROOT = Path(__file__).parents[3]
POLICY = """format = 1
name = "own"
[[gate]]
metric = "{name}"
at_least = 0.5
because = "ours"
"""


def _even(evidence: Evidence, scope: Scope) -> tuple[Columns, Columns]:
    answers = answers_to(evidence, CLEAN)
    return one_column((answers % 2 == evidence.labels % 2) & (answers >= 0), np.ones(len(answers), np.bool_))


@pytest.fixture
def parity() -> Iterator[str]:
    @metric("at_least", of="clean", exact=Exact(lambda data, digit: data.n), columns=_even)
    def parity_accuracy(evidence: Evidence, scope: Scope) -> Estimate:
        """Share of images whose answer is even where the digit is, and odd where it is odd."""
        successes, among = _even(evidence, scope)
        return Share(int(successes.sum()), int(among.sum()))

    yield "parity_accuracy"
    registry.remove("parity_accuracy")


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def gates_of(folder: Path, name: str) -> tuple[Gate, ...]:
    (folder / "p.toml").write_text(POLICY.format(name=name))
    return policy.load(folder / "p.toml").gates


def test_an_added_metric_is_checked(parity: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gates_of(tmp_path, parity)

    assert main(["policy", "check", str(tmp_path / "p.toml")]) == 0
    assert "parity accuracy ≥ 50.00 %, proven at 95 %" in capsys.readouterr().out


def test_an_added_metric_is_judged_and_its_power_known(parity: str, tmp_path: Path) -> None:
    run, shown = samples.allowed()
    gates = gates_of(tmp_path, parity)

    (finding,) = judge_all(evaluate(shown, gates))
    (before,) = power.before(gates, run.data).gates

    assert finding.status == "passed"
    assert before.detectable_below


def test_an_added_metric_is_in_the_report(parity: str, tmp_path: Path) -> None:
    run, shown = samples.allowed()
    measured = table(evaluate(shown, ()))

    page = report.render(replace(run, measurements=measured), shown, SessionFacts("", "", {}, 0.0))

    assert "Parity accuracy" in page


def test_an_added_metric_is_in_the_api_and_the_reference(parity: str) -> None:
    assert parity in harness.METRICS
    assert "## `parity_accuracy`\n\nShare of images whose answer is even" in reference.render()


def test_the_reference_is_up_to_date() -> None:
    assert (ROOT / "docs" / "reference" / "metrics.md").read_text("utf-8") == reference.render()


@pytest.mark.parametrize("name", sorted(registry.METRICS))
def test_every_metric_says_what_it_is(name: str) -> None:
    assert registry.METRICS[name].meaning.rstrip(".").count(" ") >= 3


def test_a_metric_of_the_users_own_with_booleans_has_an_exact_interval(own: Path) -> None:
    (own / "ours_a.py").write_text("def right(labels, predictions, probabilities): return labels == predictions\n")
    gates = gates_of(own, "ours_a:right")
    shown = samples.allowed()[1]

    evaluation = evaluate(shown, gates)
    (finding,) = judge_all(evaluation)

    assert finding.status == "passed"
    assert finding.measurement
    assert finding.measurement.interval.startswith("exact")
    assert "ours_a:right" in {one.metric for one in table(evaluation)}


def test_a_metric_of_the_users_own_with_scores_is_resampled_by_image(own: Path) -> None:
    (own / "ours_b.py").write_text("def sure(labels, predictions, probabilities): return probabilities.max(axis=1)\n")

    (finding,) = judge_all(evaluate(samples.allowed()[1], gates_of(own, "ours_b:sure")))

    assert finding.measurement
    assert finding.measurement.interval.startswith("bootstrap")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("return labels[1:] == 1", "not an array of"),
        ("return 1.0", "returned float, not an array of"),
        ("return labels * float('nan')", "does not lie in 0 to 1"),
        ("return labels + 1.0", "does not lie in 0 to 1"),
        ("raise SystemExit(0)", "raised: SystemExit: 0"),
    ],
    ids=["shape", "kind", "nan", "range", "exit"],
)
def test_a_metric_of_the_users_own_that_breaks_is_no_pass(own: Path, body: str, why: str) -> None:
    module = f"broken_{abs(hash(body))}"
    (own / f"{module}.py").write_text(f"def score(labels, predictions, probabilities): {body}\n")

    (finding,) = judge_all(evaluate(samples.allowed()[1], gates_of(own, f"{module}:score")))

    assert finding.status == "not_evaluated"
    assert why in finding.reason
    assert "\n" not in finding.reason


@pytest.mark.filterwarnings("error")
def test_a_metric_of_the_users_own_that_divides_by_zero_warns_of_nothing_that_names_no_metric(own: Path) -> None:
    (own / "ours_zero.py").write_text(
        "import numpy\ndef f(labels, predictions, probabilities): return 1 / (1 - numpy.log(labels * 0.1))\n"
    )

    (finding,) = judge_all(evaluate(samples.allowed()[1], gates_of(own, "ours_zero:f")))

    assert finding.measurement


def test_a_metric_that_cannot_be_imported_is_a_mistake_of_the_policy(own: Path) -> None:
    with pytest.raises(UsageError, match=r"p\.toml:4: metric nowhere:f cannot be imported: ModuleNotFoundError"):
        gates_of(own, "nowhere:f")


def test_a_metric_of_the_users_own_is_explained_by_its_first_sentence(own: Path) -> None:
    text = "Right, and <b>sure</b> of it.\\n    So that nobody asks. More."
    (own / "ours_c.py").write_text(
        f'def f(labels, predictions, probabilities):\n    """{text}"""\n    return labels == 1\n'
    )
    (own / "ours_d.py").write_text("def f(a, b, c): return a == 1\n")
    run, shown = samples.allowed()
    (gate,), (mute,) = gates_of(own, "ours_c:f"), gates_of(own, "ours_d:f")

    page = report.render(replace(run, findings=tuple(judge_all(evaluate(shown, [gate])))), shown, None)

    assert (gate.meaning, mute.meaning) == ("Right, and <b>sure</b> of it.", "")
    assert "ours_c:f: Right, and &lt;b&gt;sure&lt;/b&gt; of it." in page


def test_a_long_explanation_of_a_metric_is_cut(own: Path) -> None:
    (own / "ours_e.py").write_text(f'def f(a, b, c):\n    """{"long " * 1000}"""\n    return a == 1\n')

    (gate,) = gates_of(own, "ours_e:f")

    assert len(gate.meaning) == 200
