"""What a benchmark reports: honest verdicts, and a file of which each command changes its own part."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import peers, report, results
from bench.benchmark import Benchmark, Goal, Measure, Promise, Round, at_least, at_most
from bench.contestants.installing import holds, stamp
from bench.ground import Ground
from bench.registry import BENCHMARKS, ON_DEMAND
from bench.speed.verifying import PYJWT

ROUNDS = [Round({"idp": {"tokens/s": rate}, "peer": {"tokens/s": 100.0}}) for rate in (120.0, 150.0, 900.0)]


def promise(goal: Goal, anchor: str = "peer") -> Promise:
    return Promise("tokens/s", goal, lambda measured: measured.ratio("tokens/s", "idp", anchor))


@contextlib.contextmanager
def no_contest(_: Ground) -> Iterator[Measure]:
    yield lambda: ROUNDS[0]


def benchmark(name: str, *promises: Promise) -> Benchmark:
    return Benchmark(name, f"the title of {name}", "a peer", promises, no_contest)


def test_the_median_round_decides() -> None:
    verdict = promise(at_least(1.4)).judge(ROUNDS)
    assert verdict.figures == (1.2, 1.5, 9.0)
    assert verdict.median == 1.5
    assert verdict.kept


@pytest.mark.parametrize(("goal", "kept"), [(at_least(1.6), False), (at_most(1.6), True), (at_most(1.4), False)])
def test_a_goal_has_a_side(goal: Goal, kept: bool) -> None:
    verdict = promise(goal).judge(ROUNDS)
    assert verdict.kept is kept
    assert (goal.attained(verdict.median) >= 1) is kept
    assert ("**missed**" in report.verdicts([verdict])) is not kept


def test_without_its_anchor_a_promise_is_not_kept_but_not_measured() -> None:
    verdict = promise(at_least(1), anchor="nobody").judge(ROUNDS)
    assert not verdict.kept
    assert "not measured without nobody" in report.verdicts([verdict])
    [bar] = report.bars(benchmark("B1"), [verdict])
    assert bar.endswith("not measured")


def test_a_column_that_nobody_measures_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        Promise("typo", at_least(1), lambda measured: measured.of("idp", "token/s")).judge(ROUNDS)


def test_a_bar_ends_at_the_goal_when_it_is_just_met() -> None:
    [met] = report.bars(benchmark("B1"), [promise(at_least(1.5)).judge(ROUNDS)])
    [half] = report.bars(benchmark("B1"), [promise(at_least(3)).judge(ROUNDS)])
    assert met.count("#") == 2 * half.count("#")
    assert "#| " in met


def test_the_table_has_the_medians_and_ours_beside_the_others() -> None:
    assert report.table(ROUNDS).splitlines() == [
        "|            | tokens/s |",
        "| ---------- | -------: |",
        "| idp        |      150 |",
        "| peer       |      100 |",
        "| idp / peer |     1.50 |",
    ]


def test_a_command_replaces_its_own_section_and_redraws_the_chart(tmp_path: Path) -> None:
    file = tmp_path / "RESULTS.md"
    for name, bar in (
        ("G12", "worst"),
        ("B10", "ten"),
        ("B2", "old two"),
        ("B1", "one"),
        ("B2", "new two"),
        ("G12", "worse"),
    ):
        results.write(
            benchmark(name),
            results.circumstances(f"make bench ONLY={name}", 3, "a peer 1.0"),
            [bar],
            f"{name} says {bar}\n",
            file,
        )
    written = file.read_text()
    assert written.count("```\none\nnew two\nten\nworse\n```") == 1
    assert [line for line in written.splitlines() if line.startswith("## ")] == [
        f"## {name} the title of {name}" for name in ("B1", "B2", "B10", "G12")
    ]
    assert "B2 says new two" in written
    assert "old two" not in written
    assert "`make bench ONLY=B10` at " in written
    assert "\nPeers: a peer 1.0.\n" in written


@pytest.mark.parametrize(
    ("name", "orders", "busy", "replaced"),
    [
        ("B1", "ROUNDS=5", 0, True),
        ("B1", "ROUNDS=3", 0, True),
        ("B1", "ROUNDS=2", 0, False),
        ("B1", "ROUNDS=5", 50, False),
        ("B10", "ROUNDS=3 SCALE=1", 0, True),
        ("B10", "ROUNDS=3 SCALE=0.01", 0, False),
        ("B2", "ROUNDS=1", 50, True),
    ],
)
def test_a_quick_try_does_not_replace_a_result(
    tmp_path: Path, name: str, orders: str, busy: float, replaced: bool
) -> None:
    """B1 has five rounds and B10 three; B2 was never measured."""
    file = tmp_path / "RESULTS.md"
    for measured, told in (("B1", "ROUNDS=5"), ("B10", "ROUNDS=3 SCALE=1")):
        command = results.circumstances(f"make bench ONLY={measured} {told}", 0, "")
        results.write(benchmark(measured), command, ["bar"], "text\n", file)
    assert (results.objection(name, f"make bench ONLY={name} {orders}", busy, file) == "") is replaced


def test_a_peer_is_installed_anew_when_another_version_is_wanted(tmp_path: Path) -> None:
    assert not holds(tmp_path, "peer==1.0")
    stamp(tmp_path, "peer==1.0", "other==2.0")
    assert holds(tmp_path, "peer==1.0", "other==2.0")
    assert not holds(tmp_path, "peer==1.1", "other==2.0")
    assert not holds(tmp_path, "peer==1.0")


def test_peers_are_named_with_their_versions() -> None:
    assert peers.versions(["idp", "FastAPI tutorial", PYJWT]).startswith("fastapi==")
    assert peers.versions(["idp", PYJWT]).startswith("PyJWT==")
    assert peers.versions(["idp"]) == ""


def test_every_speed_promise_has_a_benchmark() -> None:
    assert list(BENCHMARKS) == [*(f"B{number}" for number in range(1, 13)), "G12"]
    assert set(BENCHMARKS) > ON_DEMAND
