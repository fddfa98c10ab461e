"""Deliberate faults of the engine: random networks must show each.

Such as find every range check that is left out prove that no number wraps unseen.
"""

import re

import pytest

from spikebp_plugins.engine.building import build
from tests.core.engine_copies import (
    Edit,
    run_event_networks,
    run_networks,
    skip_without_compiler,
)

skip_without_compiler()

#: Of each check, networks among which one shows a fault, and those that the engine passes without.
MOST, N = 1000, 200

#: A file, a text in it, what takes its place, and which numbers are near the limits, if any.
FAULTS = [
    ("numbers.h", "#define CERTAIN (0x1p31 - 0x1p24)", "#define CERTAIN 0x1p33", "x"),
    ("numbers.h", "#define CERTAIN 0x1p52", "#define CERTAIN 0x1p66", "x"),
    ("numbers.h", "#define MOST_COUNTED 0x1p31", "#define MOST_COUNTED 0x1p40", "x"),
    (
        "numbers.h",
        "for (int i = 0; i < LANES; i++) {\n        to[n]",
        "for (int i = 0; i < LANES - 1; i++) {\n        to[n]",
    ),
    ("numbers.h", "return below > above ? below : above;", "return above;"),
    ("forward.h", "return a->drive_bound < a->limit;", "return 1;"),
    ("forward.h", "(double)sent * a->weight_bound", "a->weight_bound"),
    ("forward.h", "const num under = net->half - 1;", "const num under = net->half;"),
    ("forward.h", "        if (is_binary)\n            now = least(now, splat(1));\n", ""),
    ("forward.h", "most(least(spikes, splat(1)), splat(-1))", "least(spikes, splat(1))"),
    ("forward.h", "-= change * p->error[i]", "+= change * p->error[i]"),
    ("forward.h", "for (int q = 0; q < p->n; q++)", "for (int q = 0; q < p->n - 1; q++)"),
    ("forward.h", "if (!(net->input_bound + half < CERTAIN))", "if (0)"),
    ("forward.h", "if (!(a->drive_bound * a->n < MOST_COUNTED))", "if (0)", "x"),
    ("forward.h", "n_fired == from->sent[t] && !from->is_signed", "n_fired == from->sent[t]"),
    ("forward.h", "if (!bring(a, below->sample_spikes))", "if (!bring(a, 0))"),
    ("forward.h", "if (!bring(a, below->sent[t]))", "if (!bring(a, 0))"),
    ("backward.h", "a->target_bound + half < CERTAIN\n            && ", "", "y"),
    ("backward.h", "(k[v] - m) & ~(s[v] >> SIGN)", "(k[v] - m) & ~((s[v] - 1) >> SIGN)"),
    ("backward.h", "if (!(a->psi_bound < a->limit))", "if (0)", "psi"),
    ("backward.h", "-p->rate[q] * product", "p->rate[q] * product"),
    ("backward.h", "above->n_erring == 0 || net->is.has_random_feedback", "above->n_erring == 0"),
    (
        "backward.h",
        "net->is.has_random_feedback ? above->feedback_bound : above->weight_bound",
        "above->weight_bound",
        "feedback",
    ),
    ("backward.h", "above->n_erring == 0 && a->psi_bound <= half", "above->n_erring == 0"),
    ("backward.h", "(double)above->errors_sent * weight", "weight"),
    ("learning.h", "(double)below.largest * (double)top;", "(double)below.largest;"),
    ("learning.h", "(double)rate * (double)below.largest", "(double)rate"),
    ("learning.h", "return a->weight_bound < CERTAIN / 2;", "return 1;"),
    ("learning.h", "below->is_signed ? magnitude(c) : c", "c", "x"),
    ("learning.h", "below.n_units * a->n_erring", "(a - 1)->n * a->n_erring"),
    ("learning.h", "back[v] -= change[v];", ";"),
    ("learning.h", "for (int q = 0; q < p->n; q++) {", "for (int q = 0; q < p->n - 1; q++) {"),
    ("learning.h", "a[-1].is_signed && q <", "0 && q <"),
    ("learning.h", "if (cuts)", "if (0)"),
    ("learning.h", "&& l < net->is.n_layers;", ";"),
    (
        "learning.h",
        "l < net->is.n_layers ? net->is.hidden_rate_bits : 0",
        "net->is.hidden_rate_bits",
    ),
    ("learning.h", "rest > 0; rest", "rest > 1; rest"),
    ("learning.h", "else if (l == 1 || net->is.has_random_feedback)", "else if (l == 1)"),
    ("learning.h", "if (!is_last)", "if (0)", "trains"),
    ("trains.h", " && largest_of(top) <= MOST_LABEL", "", "x"),
    ("trains.h", "(product[later] - product[t])", "product[later]", "trains"),
    ("trains.h", "int later = t + 1;", "int later = t + 2;", "trains"),
    ("trains.h", "magnitude(now) * size", "now * size", "trains"),
    ("trains.h", "out |= !(fabs(v) < far);", "", "x"),
    ("sample.h", "            memcpy(a->psi, a->psi_kept, (size_t)a->width * sizeof(vec));\n", ""),
    ("sample.h", "        keep_learned(net, 1);", "        ;"),
    (
        "sample.h",
        "if (block->until_lead && lead(net, t - 1) >= block->margin)",
        "if (block->until_lead && lead(net, t - 1) > block->margin)",
    ),
    ("sample.h", "            drawn += a->n;\n", ""),
    ("sample.h", "a->feedback_bound = largest(", "largest(", "feedback"),
    ("sample.h", "a->weight_bound = largest(", "largest("),
    ("sample.h", "net->is.start != CARRY", "net->is.start == DRAWN"),
    ("sample.h", "clear(a->phi_y, a->width), clear(a->sum, a->width);", "clear(a->sum, a->width);"),
    (
        "steps.h",
        "for (int i = 0; i < 5 && arrays[i]; i++)",
        "for (int i = 0; i < 4 && arrays[i]; i++)",
    ),
    (
        "steps.h",
        "net->layer[l].pending.n == net->is.most_steps",
        "net->layer[l].pending.n > net->is.most_steps",
    ),
    (
        "steps.h",
        "    write_updates(net);\n    forget_pending(net);",
        "    write_updates(net);",
    ),
    ("exact.h", "if (!fits(changed))", "if (0)", "weights"),
    (
        "exact.h",
        "        if (!fits(v))\n            return 0;\n        phi[j]",
        "        phi[j]",
        "y",
    ),
    (
        "exact.h",
        "        if (!fits(v))\n            return 0;\n        psi[j]",
        "        psi[j]",
        "psi",
    ),
    ("exact.h", "((const num *)a->s)[j] < 0 ? 0", "((const num *)a->s)[j] <= 0 ? 0"),
    ("exact.h", "sum[j] > limit ? limit : ", ""),
    (
        "exact.h",
        "if (__builtin_add_overflow(*sum, ((num *)a->e)[a->erring[u]], sum))",
        "if (__builtin_add_overflow(*sum, 0, sum))",
    ),
    ("exact.h", "n_units += c[i] != 0;", "n_units++;"),
    ("exact.h", "#define LIMIT ((big)1 << 53)", "#define LIMIT ((big)1 << 54)", "x"),
    ("exact.h", "k = k > 1 ? 1 : k < -1 ? -1 : k;", "k = k > 1 ? 1 : k;"),
]

#: Faults that the ordinary run looks for too.
QUICK = ("-= change * p->error[i]", "if (!(net->input_bound + half < CERTAIN))")


@pytest.mark.parametrize(
    ("edit", "near"),
    [
        pytest.param(
            Edit(*fault[:3]),
            fault[3:],
            id=f"{fault[0]}:{fault[1].strip()[:40]}",
            marks=() if fault[1] in QUICK else pytest.mark.thorough,
        )
        for fault in FAULTS
    ],
)
def test_random_networks_show_a_fault(edit, near, tmp_path):
    library = build(tmp_path / "engine.so", ["-O0"], edit.sources(tmp_path), only=[1])
    widths = (64,) if edit.file == "exact.h" else (32, 64)
    assert any(shows_fault(run_networks(library, 1, bits, MOST, near)) for bits in widths)


#: The same with event timing, of which the first is looked for in the ordinary run.
EVENT_FAULTS = [
    Edit("event_queue.h", "key_of(entry[child + 1]) > key", "key_of(entry[child + 1]) >= key"),
    Edit("event_queue.h", "key_of(last) >= key_of(entry", "key_of(last) > key_of(entry"),
    Edit("event_queue.h", "q->entry[parent]) >= key_bits", "q->entry[parent]) > key_bits"),
    Edit("event_network.h", "q, -now, ~j", "q, -now, j"),
    Edit("event_network.h", "vec now = rounded(", "vec now = ("),
    Edit("event_backward.h", "(const real *)a->s)[j] < 0", "(const real *)a->s)[j] <= 0"),
    Edit("event_backward.h", "above(below->c[v], 0)", "above(magnitude(below->c[v]), 0)"),
    Edit("event_backward.h", "errors->at[n++] = errors->at[a]", "n++"),
    Edit("event_backward.h", "if (!a->knows_teachers)", "if (a->n_teachers == 0)"),
    Edit("event_forward.h", "drive(&net->layer[l], &spike, 1);\n        if", "if"),
    Edit("event_forward.h", "s[i] -= row[i]", "s[i] += row[i]"),
    Edit("event_sample.h", "if (net->is.start != CARRY)", "if (net->is.start == DRAWN)"),
    Edit("event_sample.h", "(real)(x * scale)", "(real)x * (real)scale"),
]


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(edit, id=edit.before, marks=pytest.mark.thorough if i else ())
        for i, edit in enumerate(EVENT_FAULTS)
    ],
)
def test_random_networks_with_event_timing_show_a_fault(edit, tmp_path):
    library = build(tmp_path / "engine.so", ["-O0"], edit.sources(tmp_path), only=[1])
    assert shows_fault(run_event_networks(library, 1, MOST))


def shows_fault(done):
    """Whether networks differed, the reference refused one that the engine did not, or a crash."""
    differed = done.returncode and re.search("^(AssertionError|OverflowError)", done.stderr, re.M)
    return done.returncode < 0 or bool(differed)


@pytest.mark.thorough
@pytest.mark.parametrize("near", ["trains", "x", "y", "weights", "psi", "feedback"])
def test_random_networks_show_no_fault_where_there_is_none(near, tmp_path):
    library = build(tmp_path / "engine.so", ["-O0"], only=[1])
    for bits in (32, 64):
        done = run_networks(library, 1, bits, N, [near])
        assert (done.returncode, done.stderr) == (0, "")
