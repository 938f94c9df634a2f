from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlmbench.errors import UserError
from qlmbench.report.speed import bars_table, speed_files, speed_page, speed_site_files, write_speed
from qlmbench.report.speed_results import Bar, Check, Measurement, Spread, Timing
from qlmbench.report.speed_suite import suite_losses, suite_sentence
from qlmbench.report.speed_tables import cases_table, duration, losses, number, summary_table

OURS = [0.001, 0.002, 0.001]
SLOW = [0.1, 0.1, 0.1]


def timing(group: str, case: dict, others: dict | None = None, **more) -> Timing:
    found = Timing.of(group, case, "step", {"qlmbench": OURS} | (others or {}))
    return found.model_copy(update=more)


def measurement(question: str, timings: list[Timing], **more) -> Measurement:
    about = {
        "question": question,
        "setup": f"The setup of {question}.",
        "quick": False,
        "timings": timings,
        "environment": {"python": "3.11.7", "processor": "a processor"},
        "seconds": 90.0,
        "finished": "2026-01-02T03:04:05+00:00",
    }
    return Measurement(**(about | more))


def sweep() -> Measurement:
    shapes = [(2, 1), (4, 1), (4, 2)]
    timings = [
        timing(
            "by shape",
            {"batch": batch, "modes": m, "photons": n, "repetitions": 20},
            {"merlinquantum": SLOW},
        )
        for batch in ("16", "all 500")
        for m, n in shapes
    ]
    whole = timing("whole sweep", {"batch": "16", "repetitions": 20}, {"merlinquantum": SLOW})
    bar = Bar(what="at batch 16", at_least=50, ratio=whole.ratios["merlinquantum"])
    check = Check(what="largest difference of a loss", value=1e-7, limit=1e-5)
    return measurement("sweep", [*timings, whole], bars=[bar], checks=[check])


def photonic_layer() -> Measurement:
    timings = []
    for m, n in [(2, 1), (4, 1), (4, 2)]:
        for space in ("unbunched", "fock"):
            case = {"modes": m, "photons": n, "space": space, "states": 3}
            for r in (1, 10):
                repeated = case | {"repetitions": r}
                timings.append(timing("beside merlin", repeated, {"merlinquantum": SLOW}))
            timings.append(timing("beside Perceval", case, {"perceval": SLOW}))
    return measurement("photonic_layer", timings)


def qubits() -> Measurement:
    timings = [
        timing(
            "beside PennyLane",
            {"circuit": "RY", "qubits": q, "repetitions": r},
            {"qlmbench, double precision": OURS, "pennylane": SLOW if q < 14 else [0.0005] * 3},
        )
        for q in (4, 8, 14)
        for r in (1, 10)
    ]
    return measurement("qubits", timings)


def sampling() -> Measurement:
    timings = [
        timing(
            "beside Aer",
            {"circuits": n},
            {"qiskit-aer": [0.01] * 3} | ({"qiskit-aer, naive": SLOW} if n < 100 else {}),
        )
        for n in (1, 10, 100)
    ]
    missed = Bar(what="1 circuit", at_least=20, ratio=timings[0].ratios["qiskit-aer"])
    return measurement("sampling", timings, bars=[missed])


def scaling() -> Measurement:
    timings = [
        timing(
            kind,
            {"varied": axis, axis: value},
            operations=1e4 * value,
            memory_bytes=2**20 * value,
        )
        for kind, axes in (("photonic", ("modes", "samples")), ("qubits", ("qubits", "samples")))
        for axis in axes
        for value in (2, 4, 8)
    ]
    return measurement("scaling", timings)


def suite() -> Measurement:
    commands = ("import torch", "import qlmbench", "qlmbench --help")
    return measurement("suite", [timing("commands", {"command": c}) for c in commands])


def store(folder: Path, measurements: list[Measurement]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for m in measurements:
        (folder / f"{m.question}.json").write_text(m.model_dump_json(exclude_none=True))
    return folder


@pytest.fixture(scope="module")
def stored(tmp_path_factory) -> Path:
    everything = [sweep(), photonic_layer(), qubits(), sampling(), scaling(), suite()]
    return store(tmp_path_factory.mktemp("benchmarks"), everything)


def test_a_ratio_is_taken_within_each_round():
    found = timing("g", {}, {"other": [0.01, 0.01, 0.03]}).ratios["other"]
    # 10, 5 and 30: the ratio of the medians would be 10 as well, that of the means 12.5
    assert (found.median, found.low, found.high) == pytest.approx((10, 7.5, 20))


@pytest.mark.parametrize("seconds", [{"other": [1.0]}, {"qlmbench": [1.0], "other": [1.0, 2.0]}])
def test_rounds_that_do_not_pair_are_refused(seconds):
    with pytest.raises(ValueError, match="rounds"):
        Timing(group="g", case={}, unit="step", seconds=seconds)


def test_no_rounds_have_no_spread():
    with pytest.raises(ValueError, match="at least one"):
        Spread.of([])


def test_a_p_value_passes_above_its_limit_and_a_difference_below():
    assert Check(what="p", value=0.4, limit=1e-3, passes_above=True).passed
    assert not Check(what="p", value=1e-4, limit=1e-3, passes_above=True).passed
    assert not Check(what="difference", value=1e-2, limit=1e-3).passed


def test_the_page_says_which_promise_is_met_and_which_is_missed():
    shown = bars_table([sweep(), sampling()]).shown
    assert list(shown.iloc[:, -1]) == ["met", "**missed**"]
    assert "100" in shown["Measured"][0]


def test_the_page_names_the_cases_where_the_other_side_is_faster():
    text = losses(qubits())
    assert text.startswith("In 2 of 6 cases")
    assert "14 qubits, 1 repetition" in text
    assert "double precision" not in text  # our own other precision is no rival


def test_the_page_names_the_smallest_lead_where_nothing_is_lost():
    assert "In none of the 5 cases" in losses(sampling())
    assert "1 circuit" in losses(sampling())


def test_every_question_has_setup_figure_table_losses_limit_and_command(stored):
    text = speed_page(stored).github()
    for question in ("sweep", "photonic_layer", "qubits", "sampling", "scaling", "suite"):
        start = text.index(f"The setup of {question}.")
        section = text[start : text.index(f"python benchmarks/{question}.py", start)]
        assert f"figures/{question}-dark.svg" in section
        assert "| --:" in section
        assert section.index("**Where we lose.**") < section.index("**The limit.**")


def test_both_flavours_say_the_same(stored):
    page = speed_page(stored)
    github, myst = page.github(), page.myst()
    assert re.findall(r"\*\*.*?\*\*", github) == re.findall(r"\*\*.*?\*\*", myst)
    assert [line for line in github.splitlines() if line.startswith("|")] == [
        line for line in myst.splitlines() if line.startswith("|")
    ]


def test_every_file_that_the_page_shows_is_written(stored):
    site = speed_site_files(stored)
    linked = re.findall(r"speed/(?:figures|tables)/[\w-]+\.\w+", site["speed.md"])
    assert set(linked) == site.keys() - {"speed.md"}
    shown = re.findall(r"(?:figures|tables)/[\w-]+\.\w+", speed_page(stored).github())
    assert {f"speed/{path}" for path in shown} == set(linked)


def test_the_page_depends_on_the_stored_results_alone(tmp_path):
    folder = store(tmp_path, [sampling()])
    assert speed_files(folder) == speed_files(folder)


def test_commands_are_compared_with_the_first_one_round_by_round():
    seconds = {"import torch": [1.0, 2.0, 4.0], "fast": [0.1, 0.4, 0.4], "slow": [2.0, 8.0, 8.0]}
    commands = [
        Timing.of("commands", {"command": name}, "whole process", {"qlmbench": values})
        for name, values in seconds.items()
    ]
    measured = measurement("suite", commands)
    assert suite_sentence(measured) == "Times as long as import torch: fast 0.1; slow 2."
    assert suite_losses(measured) == (
        "These take longer than import torch: slow, 2 (2 to 3) times."
    )
    assert suite_losses(measurement("suite", commands[:2])) == (
        "Nothing takes longer than import torch."
    )


def test_writing_twice_changes_nothing(tmp_path):
    folder = store(tmp_path, [suite()])
    assert folder / "README.md" in write_speed(folder)
    assert write_speed(folder) == []


def test_a_quick_try_is_marked_on_the_page(tmp_path):
    assert "--quick" not in speed_page(store(tmp_path, [suite()])).github().split("##")[0]
    quick = suite().model_copy(update={"quick": True})
    assert "--quick" in speed_page(store(tmp_path, [quick])).github().split("##")[0]


def test_a_folder_without_results_is_a_clear_error(tmp_path):
    with pytest.raises(UserError, match="no benchmark results"):
        speed_page(tmp_path)


def test_a_damaged_result_is_a_clear_error(tmp_path):
    (tmp_path / "sweep.json").write_text('{"question": "sweep"}')
    with pytest.raises(UserError, match=r"sweep\.json"):
        speed_page(tmp_path)


def test_cases_are_kept_apart_in_full_and_summed_up_in_short():
    assert len(cases_table(photonic_layer())) == 18
    short = summary_table(photonic_layer(), ("space", "repetitions"))
    assert list(short.data["Cases"]) == ["3"] * 6
    assert len(summary_table(suite(), ("command",))) == 3


@given(st.floats(1e-9, 1e6))
@settings(max_examples=60, deadline=None)
def test_numbers_are_written_without_exponents_and_within_five_percent(value):
    text = number(value) if value >= 1e-4 else number(1e-4)
    assert float(text.replace(",", "")) == pytest.approx(max(value, 1e-4), rel=0.051)
    assert "e" not in text
    assert "e" not in duration(value)


# ---- the harness of the benchmarks -----------------------------------------------------------


@pytest.fixture(scope="module")
def harness() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "harness.py"
    spec = importlib.util.spec_from_file_location("qlmbench_benchmark_harness", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_sides_take_turns_after_warming_up(harness, monkeypatch):
    monkeypatch.setattr(harness, "LEAST_SECONDS", 0.0)
    calls: list[str] = []
    seconds = harness.interleave(
        {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 3
    )
    assert "".join(calls[-6:]) == "ababab"
    assert {side: len(values) for side, values in seconds.items()} == {"a": 3, "b": 3}


def test_a_short_side_is_called_often_enough_for_the_clock(harness):
    calls: list[int] = []
    harness.interleave({"short": lambda: calls.append(1)}, 1)
    assert len(calls) > 100


@pytest.mark.slow  # starting torch's profiler takes seconds
def test_peak_memory_counts_what_is_held_at_one_time(harness):
    import torch

    def work() -> None:
        for _ in range(3):
            torch.zeros(2**18) + torch.zeros(2**18)

    assert harness.peak_memory(work) == 3 * 2**20


def test_sums_over_cases_are_taken_round_by_round(harness):
    sides = {"merlinquantum": [1.0, 2.0, 3.0]}
    total = harness.total_seconds([timing("g", {"modes": m}, sides) for m in (2, 4)])
    assert total["merlinquantum"] == [2.0, 4.0, 6.0]
    assert total["qlmbench"] == pytest.approx([0.002, 0.004, 0.002])


def test_a_benchmark_stops_where_the_sides_do_not_agree(harness, tmp_path):
    report = harness.Report("sweep", "A setup.", harness.Setting(True, tmp_path))
    with pytest.raises(SystemExit, match="do not agree"):
        report.check("difference", 1.0, 1e-3)


def test_what_the_harness_stores_is_what_the_page_reads(harness, tmp_path):
    report = harness.Report("suite", "A setup.", harness.Setting(True, tmp_path))
    for command in ("python that does nothing", "import qlmbench"):
        report.add("commands", {"command": command}, "process", {"qlmbench": [0.1234567, 0.2]})
    report.finish()
    page = speed_page(tmp_path)
    assert page.measurements["suite"].timings[0].seconds == {"qlmbench": [0.12346, 0.2]}
    assert page.measurements["suite"].quick
    assert "merlinquantum" in page.measurements["suite"].environment


def test_a_quick_try_does_not_go_to_the_committed_results(harness, tmp_path):
    assert harness.parse("", ["--quick"]).results.parts[-2:] == ("runs", "benchmarks")
    assert harness.parse("", []).results.parts[-2:] == ("results", "benchmarks")
    assert harness.parse("", ["--results", str(tmp_path)]).results == tmp_path
