"""Deliberate faults in the core: random networks must find each of them."""

import pytest

from spikebp_fpga import verilated
from tests.fpga.networks import first_difference, tools

pytestmark = tools("verilator", "g++")

#: File, what stands there once, and the fault.
FAULTS = [
    ("core", "b_is_place && met[", "met["),
    ("core", "set_at < n_inputs_met", "set_at <= n_inputs_met"),
    ("core", "c_stands ? c_at : n_inputs_met", "n_inputs_met"),
    ("core", "has_learned && !is_bad && !drops", "has_learned"),
    ("core", "is_first_target == psi_is_second", "!psi_is_second"),
    ("core", "zeroes_left && is_first_target", "zeroes_left"),
    (
        "core",
        "lists && is_spikes && !is_output && listed_count != 0",
        "lists && is_spikes && !is_output && spikes != 0",
    ),
    ("core", "errors_afresh(is_first_target || !learns_once)", "errors_afresh(!learns_once)"),
    ("core", "counts_afresh(is_first_step)", "counts_afresh(1'b0)"),
    ("core", "products_overflow && state != UNDO", "products_overflow && 1'b0"),
    (
        "core",
        "met_region - number'(UNITS) : met_region + met_below",
        "met_region : met_region + met_below",
    ),
    ("core", "labelled == label ? y_right : y_wrong", "labelled == label + 1 ? y_right : y_wrong"),
    ("core", "psi_at + (has_no_entry ? psi_from : psi_to)", "psi_at + psi_to"),
    ("core", "drive_is_fresh <= '1;", "drive_is_fresh <= '0;"),
    ("products", "NUMBER_BITS'(n) + unit[7]", "NUMBER_BITS'(n) - unit[7]"),
    ("products", "NUMBER_BITS'(b) - unit[4]", "NUMBER_BITS'(b) + unit[4]"),
    ("products", "from13 ? sum13 : sum10", "sum10"),
    ("products", "undoes ? CHANGED_BITS'(weight10) +", "undoes ? CHANGED_BITS'(weight10) -"),
    ("products", "$signed({1'b0, factor8[16:0]})", "$signed(factor8[16:0])"),
    ("products", "cut3 <= cut(number[2], count_limit)", "cut3 <= number[2]"),
    ("products", "is_fresh && first[9]", "is_fresh && first[8]"),
    ("quantizers", "v3[SUM_BITS-1] ? half : half - 1'b1)", "v3[SUM_BITS-1] ? half : half)"),
    ("quantizers", "is_error ? silenced2 : raw2[SUM_BITS-1]", "raw2[SUM_BITS-1]"),
    ("quantizers", "negative4 ? half : half - 1'b1", "half - 1'b1"),
    ("quantizers", "wire stays = !is_error && !is_target &&", "wire stays = !is_error &&"),
    ("quantizers", "some & rest[i]", "some & rest[0]"),
    ("rates", "quotient == 0 ? RATE_BITS'(1)", "quotient == 0 ? RATE_BITS'(0)"),
    ("rates", "squares + added : squares", "squares + squares : squares"),
]

#: All with one simulation: four weights a clock, of 24 bits.
NETWORKS = 120


@pytest.mark.parametrize(("name", "there", "fault"), FAULTS, ids=[f[1][:30] for f in FAULTS])
def test_a_fault_is_found(name, there, fault, tmp_path, monkeypatch):
    monkeypatch.setenv("CXXFLAGS", "-O1")
    monkeypatch.setattr(verilated.pooch, "os_cache", lambda _: tmp_path)
    sources = []
    for path in verilated.SOURCES:
        text = path.read_text("utf-8")
        if path.stem == f"spikebp_{name}":
            assert text.count(there) == 1
            text = text.replace(there, fault)
        sources.append(tmp_path / path.name)
        sources[-1].write_text(text, "utf-8")
    monkeypatch.setattr(verilated, "SOURCES", sources)
    verilated.library_for.cache_clear()
    try:
        assert any(
            first_difference(number, lanes=4, weight_bits=24) is not None
            for number in range(NETWORKS)
        )
    finally:
        verilated.library_for.cache_clear()
