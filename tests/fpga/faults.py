"""Deliberate faults in the core: each must be found by one of the checks."""

from itertools import chain

import pytest

from spikebp_fpga import verilated
from tests.fpga.networks import (
    AT_THE_LIMIT,
    TOO_LARGE,
    clock_differences,
    difference_after,
    first_difference,
    stream_difference,
    tools,
)

pytestmark = tools("verilator", "g++")

#: File, what stands there once, and the fault.
FAULTS = [
    ("core", "is_place && met[", "met["),
    ("core", "set_at < n_inputs_met", "set_at <= n_inputs_met"),
    ("core", "stands ? place : n_inputs_met", "n_inputs_met"),
    ("core", "meeting[3] && met_sum[COUNT_BITS] != met_sum[COUNT_BITS-1]", "1'b0"),
    ("core", "|| sent[SENT_BITS]", "|| 1'b0"),
    ("core", "has_learned && !is_bad)", "has_learned)"),
    ("core", "is_first_target == psi_is_second", "!psi_is_second"),
    ("core", "zeroes_left && is_first_target", "zeroes_left"),
    ("core", "is_bad ? (logged != 0 ? UNDO : FINISH)", "is_bad ? FINISH"),
    ("core", "(is_bad ? UNDO : FINISH)", "FINISH"),
    ("core", "meets = lists && is_spikes && !is_output && listed_count != 0", "meets = sends_on"),
    ("core", "errors_afresh(is_first_target || !learns_once)", "errors_afresh(!learns_once)"),
    ("core", "counts_afresh(is_first_step)", "counts_afresh(1'b0)"),
    ("core", "products_overflow && state != UNDO", "1'b0"),
    ("core", "is_keep ? met_region - number'(UNITS)", "is_keep ? met_region"),
    ("core", "psi_at + (has_no_entry ? psi_from : psi_to)", "psi_at + psi_to"),
    ("core", "drive_is_fresh <= '1;", "drive_is_fresh <= '0;"),
    ("core", "is_output ? error_limit : hidden_error_limit", "hidden_error_limit"),
    ("products", "number'(n) + unit[7]", "number'(n) - unit[7]"),
    ("products", "number'(b) - unit[4]", "number'(b) + unit[4]"),
    ("products", "from13 ? sum13 : sum10", "sum10"),
    ("products", "undoes ? CHANGED_BITS'(weight10) +", "undoes ? CHANGED_BITS'(weight10) -"),
    ("products", "$signed({1'b0, factor8[16:0]})", "$signed(factor8[16:0])"),
    ("products", "cut3 <= cut(sent[2], count_limit)", "cut3 <= sent[2]"),
    ("products", "is_fresh && first[9]", "is_fresh && first[8]"),
    ("quantizers", "v3[SUM_BITS-1] ? half : half - 1'b1)", "v3[SUM_BITS-1] ? half : half)"),
    ("quantizers", "is_error ? silenced2 : raw2[SUM_BITS-1]", "raw2[SUM_BITS-1]"),
    ("quantizers", "negative4 ? half : half - 1'b1", "half - 1'b1"),
    ("quantizers", "wire stays = !is_error && !is_target &&", "wire stays = !is_error &&"),
    ("quantizers", "(is_error ? e6 != 0", "(is_error ? k6 != 0"),
    ("quantizers", "wire many = (rest & (rest - 1'b1)) != 0", "wire many = rest != 0"),
    ("rates", "quotient == 0 ? RATE_BITS'(1)", "quotient == 0 ? RATE_BITS'(0)"),
    ("rates", "squares + added : squares", "squares + squares : squares"),
    ("rates", "quotient < given_rate", "quotient <= given_rate"),
    ("rates", "grown > fixed ? grown : fixed", "fixed"),
]

#: All with few simulations: four weights a clock, of 24 bits.
GIVEN = {"lanes": 4, "weight_bits": 24}


def differences():
    """Yield what the checks find, the quickest first."""
    return chain(
        map(difference_after, [*AT_THE_LIMIT, *TOO_LARGE]),
        (stream_difference(seed) for seed in range(24)),
        (each for number in range(8) for each in clock_differences(number, **GIVEN)),
        (first_difference(number, **GIVEN) for number in range(60)),
    )


@pytest.fixture(scope="session")
def cache_of_faults(tmp_path_factory):
    """A cache of its own for cores that nobody wants to keep."""
    return tmp_path_factory.mktemp("cache")


@pytest.mark.parametrize(("name", "there", "fault"), FAULTS, ids=[f[1][:30] for f in FAULTS])
def test_a_fault_is_found(name, there, fault, tmp_path, monkeypatch, cache_of_faults):
    monkeypatch.setattr(verilated.pooch, "os_cache", lambda _: cache_of_faults)
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
        assert any(difference is not None for difference in differences())
    finally:
        verilated.library_for.cache_clear()
