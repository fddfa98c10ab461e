"""The conformance suite as a product: its table, and the one that the pages show."""

import json
from importlib.metadata import EntryPoint

import pytest

from spikebp_plugins.compiled.backend import CompiledBackend
from spikebp_plugins.conformance import CASES, Table
from spikebp_plugins.conformance.__main__ import main
from spikebp_plugins.conformance.checks import CHECKS
from spikebp_plugins.conformance.suite import unsupported_reason
from spikebp_plugins.simulation import comparison
from tests.core.test_cli import install, install_faulty
from tests.documentation import ROOT
from tests.scripts import loaded

FEATURES = [case.feature for case in CASES]


class PartialBackend(CompiledBackend):
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
    chosen = [case for case in CASES if case.feature in ("8-bit pixels", "random feedback")]
    monkeypatch.setattr("spikebp_plugins.conformance.suite.CASES", chosen)


def install_also(monkeypatch, name, cls):
    group = "spikebp_plugins.backends"
    reference = "spikebp_plugins.backends.reference:ReferenceBackend"
    points = [
        EntryPoint(name, f"{__name__}:{cls}", group),
        EntryPoint("reference", reference, group),
    ]
    install(monkeypatch, *points)


def test_the_table_has_a_cell_for_each_feature_and_back_end(few_cases, monkeypatch, capfd):
    install_also(monkeypatch, "partial", "PartialBackend")
    assert main(["reference", "partial"]) == 0
    lines = capfd.readouterr().out.splitlines()
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if "│" in line]
    assert cells == [
        ["8-bit pixels", "equal", "equal"],
        ["random feedback", "equal", "no (1)"],
    ]
    assert lines[-1] == "(1) it has no random feedback"


def test_the_table_as_markdown(few_cases, monkeypatch, capfd):
    install_also(monkeypatch, "partial", "PartialBackend")
    assert main(["partial", "reference", "--markdown"]) == 0
    assert capfd.readouterr().out == (
        "| feature | `partial` | `reference` |\n"
        "| --- | --- | --- |\n"
        "| 8-bit pixels | equal | equal |\n"
        "| random feedback | no (1) | equal |\n"
        "\n"
        "1. it has no random feedback\n"
    )


def test_a_failure_is_in_the_table_with_its_place(few_cases, monkeypatch, capfd):
    install_faulty(monkeypatch)
    assert main(["faulty"]) == 1
    out = capfd.readouterr().out
    assert out.count("FAILED (") == 2
    assert (
        "(1) training_equals_reference: TracesDifferError: back end and reference: spikes " in out
    )
    assert "differ at sample 1, step 6, layer 1, unit 3" in out
    assert main(["faulty", "--json"]) == 1
    found = json.loads(capfd.readouterr().out)
    assert not found["equal"]
    cell = found["backends"]["faulty"]["8-bit pixels"]
    assert cell["outcome"] == "failed"
    assert "sample 1, step 6, layer 1, unit 3" in cell["reason"]
    assert Table.from_dict(found["backends"]).to_dict() == found["backends"]


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


# --- The table of the README and of docs/conformance.md


@pytest.fixture(scope="module")
def script():
    return loaded(ROOT / "docs" / "conformance_table.py")


@pytest.mark.parametrize("page", ["README.md", "docs/conformance.md"])
def test_pages_show_what_the_last_run_found(script, page):
    text = (ROOT / page).read_text("utf-8")
    assert "<!-- table: back ends -->" in text
    assert script.written(text) == text, "make it anew: python docs/conformance_table.py"


def test_the_last_run_was_of_this_suite(script):
    for name, column in script.kept().items():
        assert not script.stale(column), (
            f"the suite has changed: python docs/conformance_table.py {name}"
        )
        assert sorted(column["cells"]) == sorted(FEATURES)


def test_the_last_run_has_every_back_end(script):
    assert set(comparison.all_backends()) <= set(script.kept())
    assert set(script.OTHER_FORMS) <= set(script.kept())


def test_reasons_in_the_table_are_those_that_back_ends_give(script):
    ready = set(comparison.all_backends())
    for name, column in script.kept().items():
        if name.partition(":")[0] not in {other.partition(":")[0] for other in ready}:
            continue
        for case in CASES:
            cell = column["cells"][case.feature]
            reason = unsupported_reason(name, case)
            assert cell["outcome"] == ("passed" if reason is None else "unsupported")
            assert cell["reason"] == (reason or "")


def test_the_page_explains_every_check():
    text = (ROOT / "docs" / "conformance.md").read_text("utf-8")
    for check in CHECKS:
        assert f"`{check.__name__}`" in text
