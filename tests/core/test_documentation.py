"""What the README says of the core works as it stands."""

import re

import numpy as np
import pytest

from spikebp_plugins import Checkpoint
from spikebp_plugins.engine.library import why_missing
from tests.documentation import ROOT, sections


def test_the_code_of_the_limits_runs(capsys):
    (code,) = sections("docs/limits.md").values()
    exec(code, {})
    assert capsys.readouterr().out.startswith(
        "back end 'c' cannot run this network: it knows arithmetic"
    )


@pytest.mark.smoke
def test_the_code_of_the_readme_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    code = sections("README.md")
    for title in ("Use", "In scikit-learn and river"):
        exec(code[title], names)
    assert Checkpoint.load("digits.npz").state.samples_seen == len(names["data"].x_train)
    assert names["trace"].spikes[0].shape == (100, 2, 64)


def test_the_code_of_the_overview_runs(capsys):
    (code,) = sections("docs/index.md").values()
    exec(code, {})
    assert float(capsys.readouterr().out) > 0.9


def test_the_code_of_the_comparison_runs():
    code = sections("docs/comparison.md")["The best networks"].replace("mnist", "digits")
    names = {}
    exec(code.replace("800, 800", "30").replace("test error", "error on digits"), names)
    sim = names["sim"]
    assert sim.samples_seen == 20 * len(names["data"].x_train)
    assert (sim.learning_rate, sim.net.fraction_bits) == (2.0**-20, 20)


def test_links_between_pages_lead_somewhere():
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    found = 0
    for page in pages:
        for target, anchor in re.findall(r"\]\(([^)#:]*)(#[^)]*)?\)", page.read_text("utf-8")):
            path = page.parent / target if target else page
            assert path.exists(), f"{page.name}: {target}"
            if anchor:
                titles = re.findall(r"^#+ (.+)$", path.read_text("utf-8"), re.MULTILINE)
                slugs = {
                    re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles
                }
                assert anchor[1:] in slugs, f"{page.name}: {target}{anchor}"
            found += 1
    assert found > 20


def test_the_code_of_the_page_on_streams_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {}
    for code in sections("docs/streams.md").values():
        exec(code, names)
    assert Checkpoint.load("stream.npz").state.samples_seen == 2000
    printed = capsys.readouterr().out
    shares = re.findall(r"^0\.\d+$", printed, re.MULTILINE)
    expected = ["0.114", "0.828", "0.780", "0.293", "0.853"]
    assert [f"{float(share):.3f}" for share in shares] == expected
    assert round(names["shown"].n_steps.mean(), 2) == 1.12
    assert printed.startswith("1871\n")
    assert np.mean(names["right"]) > 0.8


def test_the_code_of_the_page_on_sparse_input_runs(capsys):
    pytest.importorskip("river", reason="river is not installed")
    (code,) = sections("docs/sparse_input.md").values()
    exec(code, {})
    for line in capsys.readouterr().out.splitlines():
        assert f"# {line}\n" in code


def test_the_code_of_the_page_on_convolution_runs(capsys):
    for code in sections("docs/convolution.md").values():
        exec(code, {})
    *shapes, right = capsys.readouterr().out.splitlines()
    page = (ROOT / "docs" / "convolution.md").read_text("utf-8")
    for line in (*shapes, f"{float(right):.3f}"):
        assert f"# {line}\n" in page


@pytest.mark.skipif(why_missing() is not None, reason="it has no slow reference")
def test_the_code_of_the_order_of_events_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (code,) = sections("docs/event_order.md").values()
    exec(code, {})
    page = (ROOT / "docs" / "event_order.md").read_text("utf-8")
    for printed in capsys.readouterr().out.splitlines():
        assert f"# {printed}\n" in page
    (code,) = sections("docs/paper.md").values()
    exec(code, {})


def test_the_code_of_other_pages_runs(capsys):
    (code,) = sections("docs/defaults.md").values()
    exec(code, {})
    printed = capsys.readouterr().out.splitlines()[-1]
    assert f"# {printed}\n" in (ROOT / "docs" / "defaults.md").read_text("utf-8")
    exec(sections("docs/hardware.md")["In NeuroBench's definitions"], {})
    printed = capsys.readouterr().out
    assert printed.startswith("footprint")
    assert printed in (ROOT / "docs" / "hardware.md").read_text("utf-8")
