"""The conformance suite as a product: its table, and the one that the pages show."""

import json
from importlib.metadata import EntryPoint

import pytest

from spikebp_plugins.backends.base import NO_STEPS
from spikebp_plugins.conformance import CASES
from spikebp_plugins.conformance.__main__ import main
from spikebp_plugins.conformance.suite import unsupported_reason
from spikebp_plugins.engine.backend import EngineBackend
from spikebp_plugins.simulation import comparison
from tests.core.engine_copies import needs_engine
from tests.core.test_cli import install, install_faulty
from tests.documentation import ROOT
from tests.scripts import loaded


class PartialBackend(EngineBackend):
    """Does not support everything, and says why."""

    @classmethod
    def unsupported(cls, net, **options):  # noqa: ARG003
        return "it has no random feedback" if net.feedback == "random" else None


class SilentBackend(PartialBackend):
    """Declares what it does not refuse."""

    @classmethod
    def unsupported(cls, net, **options):  # noqa: ARG003
        return None if net.feedback == "transpose" else " "


@pytest.fixture
def few_cases(monkeypatch):
    chosen = [
        case for case in CASES if case.feature in ("8-bit pixels", "random feedback, outer update")
    ]
    monkeypatch.setattr("spikebp_plugins.conformance.suite.CASES", chosen)


def install_also(monkeypatch, name, cls):
    group = "spikebp_plugins.backends"
    reference = "spikebp_plugins.backends.reference:ReferenceBackend"
    points = [
        EntryPoint(name, f"{__name__}:{cls}", group),
        EntryPoint("reference", reference, group),
    ]
    install(monkeypatch, *points)


@needs_engine
def test_the_table_has_a_cell_for_each_feature_and_back_end(few_cases, monkeypatch, capfd):
    install_also(monkeypatch, "partial", "PartialBackend")
    assert main(["reference", "partial"]) == 0
    lines = capfd.readouterr().out.splitlines()
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if "│" in line]
    assert cells == [
        ["8-bit pixels", "equal", "equal"],
        ["random feedback, outer update", "equal", "no (1)"],
    ]
    assert lines[-1] == "(1) it has no random feedback"


@needs_engine
def test_the_table_is_printed_as_markdown(few_cases, monkeypatch, capfd):
    install_also(monkeypatch, "partial", "PartialBackend")
    assert main(["partial", "reference", "--markdown"]) == 0
    assert capfd.readouterr().out == (
        "| feature | `partial` | `reference` |\n"
        "| --- | --- | --- |\n"
        "| 8-bit pixels | equal | equal |\n"
        "| random feedback, outer update | no (1) | equal |\n"
        "\n"
        "1. it has no random feedback\n"
    )


@needs_engine
def test_a_failure_is_in_the_table_with_its_place(few_cases, monkeypatch, capfd):
    install_faulty(monkeypatch)
    assert main(["faulty"]) == 1
    out = capfd.readouterr().out
    assert out.count("FAILED (") == 2
    place = "differ at sample 1, step 6, layer 1, unit 3"
    assert f"(1) TracesDifferError: training: spikes {place}" in out
    assert main(["faulty", "--json"]) == 1
    found = json.loads(capfd.readouterr().out)
    assert not found["equal"]
    cell = found["backends"]["faulty"]["8-bit pixels"]
    assert cell["outcome"] == "failed"
    assert "sample 1, step 6, layer 1, unit 3" in cell["reason"]


def test_a_back_end_must_say_why(few_cases, monkeypatch, capfd):
    install_also(monkeypatch, "silent", "SilentBackend")
    assert main(["silent"]) == 1
    assert "must say why it does not support a definition" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["nothing"], "backend must be one of"),
        (["reference", "reference:level=3"], "an option of back end 'reference' must be"),
    ],
)
def test_a_back_end_that_is_not_there_is_refused_before_anything_runs(names, message, capfd):
    with pytest.raises(SystemExit) as stopped:
        main(names)
    assert stopped.value.code == 2
    shown = capfd.readouterr()
    assert shown.out == ""
    assert message in shown.err


# --- The table of docs/conformance.md


@pytest.fixture(scope="module")
def script():
    return loaded(ROOT / "docs" / "conformance_table.py")


def test_the_page_shows_what_the_last_run_found(script):
    text = script.PAGE.read_text("utf-8")
    assert "<!-- table -->" in text
    assert script.written(text) == text, "make it anew: python docs/conformance_table.py"


def test_the_last_run_was_of_this_suite_and_of_every_back_end(script):
    found = script.kept()
    asked = {row.backend for row in found}
    assert asked >= {*comparison.all_backends(), *script.OTHER_FORMS}
    for name in asked:
        assert not script.stale(name, found), (
            f"the suite has changed: python docs/conformance_table.py {name}"
        )
    assert len(found) == len(asked) * len(CASES)


def test_reasons_in_the_table_are_those_that_back_ends_give(script):
    ready = {name.partition(":")[0] for name in comparison.all_backends()}
    cases = {case.feature: case for case in CASES}
    for row in script.kept():
        if row.backend.partition(":")[0] in ready:
            case = cases[row.feature]
            reason = unsupported_reason(row.backend, case.net)
            if reason is None and case.margin is not None and row.outcome == "unsupported":
                assert row.reason == NO_STEPS
                continue
            assert row.outcome == ("passed" if reason is None else "unsupported")
            assert row.reason == (reason or "")
