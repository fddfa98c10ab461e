"""Deliberate faults of the engine: random networks must show each.

Such as find every range check that is left out prove that no number wraps unseen.
"""

import re

import pytest

from spikebp_plugins.engine.building import build
from tests.core.engine_copies import Edit, run_event_networks, run_networks, skip_without_compiler

skip_without_compiler()

#: Networks among which one shows a fault: few at first, since many faults show in one build alone,
#: after a few; and networks that the engine passes without one.
FEW, MOST, N = 100, 1000, 100

#: A file, a text in it, what takes its place, and which numbers are near the limits, if any.
FAULTS = [
    ("numbers.h", "#define PROVEN (0x1p31 - 0x1p24)", "#define PROVEN 0x1p33", "x"),
    ("numbers.h", "#define PROVEN 0x1p52", "#define PROVEN 0x1p66", "x"),
    ("numbers.h", "#define MOST_COUNTED 0x1p31", "#define MOST_COUNTED 0x1p40", "x"),
    (
        "numbers.h",
        "for (int i = 0; i < LANES; i++) {\n        to[n]",
        "for (int i = 0; i < LANES - 1; i++) {\n        to[n]",
    ),
    ("numbers.h", "return below > above ? below : above;", "return above;"),
    ("forward.h", "const num under = net->half - 1;", "const num under = net->half;"),
    ("forward.h", "        if (is_binary)\n            now = least(now, splat(1));\n", ""),
    ("forward.h", "most(least(spikes, splat(1)), splat(-1))", "least(spikes, splat(1))"),
    ("forward.h", "-= change * p->error[i]", "+= change * p->error[i]"),
    ("forward.h", "if (!(net->input_bound + half < PROVEN))", "if (0)"),
    ("forward.h", "if (!(a->drive_bound * a->n < MOST_COUNTED))", "if (0)", "x"),
    ("forward.h", "n_fired == from->sent[t] && !from->is_signed", "n_fired == from->sent[t]"),
    ("forward.h", "if (bound < limit)", "if (1)"),
    ("forward.h", "(double)below->sent[t] * a->weight_bound", "a->weight_bound"),
    (
        "forward.h",
        "q < p->n_met; q++) {\n        const num",
        "q < p->n_met - 1; q++) {\n        const num",
    ),
    ("forward.h", "(double)below->sample.spikes * a->weight_bound", "0"),
    ("forward.h", "a->sample.messages += n_fired;", ";"),
    ("forward.h", "a->sample.messages += a->n_fired[t];", ";"),
    (
        "forward.h",
        "if (range == EXACT && !is_in_range(net, a, a->drive_bound = largest_drive(net, a)))",
        "if (0)",
        "x",
    ),
    ("forward.h", "a->sample.up += operations_of", "a->sample.up = operations_of"),
    ("forward.h", "a->sample.messages_up += synapses", "a->sample.messages_up = synapses"),
    ("backward.h", "a->target_bound + half < PROVEN\n            && ", "", "y"),
    ("backward.h", "(k[v] - m) & ~(s[v] >> SIGN)", "(k[v] - m) & ~((s[v] - 1) >> SIGN)"),
    ("backward.h", "-p->rate[q] * product", "p->rate[q] * product"),
    ("backward.h", "above->n_erring == 0 || net->is.has_random_feedback", "above->n_erring == 0"),
    ("backward.h", "a->psi_bound += gain;", ";", "psi"),
    (
        "backward.h",
        "is_random ? above->feedback_bound : above->weight_bound",
        "above->weight_bound",
        "feedback",
    ),
    (
        "backward.h",
        "if (!is_in_range(net, a, a->psi_bound = largest(a->psi, a->width)))",
        "if (0)",
        "psi",
    ),
    ("backward.h", "const int t = net->step - net->delay;", "const int t = net->step;", "trains"),
    ("backward.h", "t < net->n_steps ? t : net->n_steps - 1", "net->n_steps - 1", "trains"),
    ("backward.h", "above->sample.down += operations_of", "above->sample.down = operations_of"),
    ("backward.h", "is_silent && a->psi_bound <= half", "is_silent"),
    ("backward.h", "(double)above->errors_sent * (above->n_erring", "(above->n_erring"),
    ("connections.h", "size[r]];\n            const num", "size[r] - 1];\n            const num"),
    ("connections.h", "size[r]];\n        num", "size[r] - 1];\n        num"),
    ("connections.h", "wired->channels - (v + i) * LANES", "LANES"),
    (
        "connections.h",
        "spread + target + v * LANES, channels - v * LANES",
        "spread + target + v * LANES, LANES",
    ),
    (
        "connections.h",
        "factor + target[m] + v * LANES, channels - v * LANES",
        "factor + target[m] + v * LANES, LANES",
    ),
    ("connections.h", "position[n] = before;", ""),
    ("connections.h", "(big)(times < 0 ? -times : times)", "(big)times"),
    ("connections.h", "    all->n_met = 0;\n", ""),
    ("connections.h", "total += fan->n_synapses[from.unit[a]];", "total++;"),
    ("connections.h", "n_changed += n_errors;", "n_changed++;"),
    ("connections.h", "n_changed += times != 0;", "n_changed++;"),
    ("connections.h", "[erring[i] / wired->channels * wired->channels] = 0;", "[0] = 0;"),
    ("connections.h", "net->spread[erring[i]] = 0;", ";"),
    ("connections.h", "a->n_b > 0 && !net->is.has_random_feedback", "a->n_b > 0"),
    ("connections.h", "= sign * p->rate", "= p->rate"),
    ("connections.h", "row[v] -= change * first_of", "row[v] += change * first_of"),
    ("connections.h", "EACH(i, n) row[i] -= times * change[i];", "EACH(i, n) row[i] -= change[i];"),
    ("connections.h", "row[v] -= times * first_of", "row[v] -= first_of"),
    ("connections.h", "times * *(const vec *)(row", "*(const vec *)(row"),
    ("connections.h", "times * row[begin[m]]", "row[begin[m]]"),
    ("chip.h", "saturated(a->phi[v + i] + arriving[i])", "a->phi[v + i] + arriving[i]"),
    ("chip.h", "saturated(a->s[v + i] + arriving[i])", "a->s[v + i] + arriving[i]"),
    ("chip.h", "1 : LARGEST_MESSAGE;", "1 : LARGEST_MESSAGE + 1;"),
    ("chip.h", "saturated(*phi + saturated(x->", "saturated(*phi + (x->", "x"),
    ("chip.h", "within(k[v] - m, LARGEST_MESSAGE)", "k[v] - m"),
    ("chip.h", "saturated(((const vec *)y)[v])", "((const vec *)y)[v]", "y"),
    ("chip.h", "psi[i] = saturated(psi[i]);", ";"),
    ("chip.h", "&a->phi_y[v], -1)", "&a->phi_y[v], 0)"),
    ("chip.h", "(uint64_t)p->step[q] + 1", "(uint64_t)p->step[q]"),
    ("chip.h", "(uint64_t)a->n + 1;", "(uint64_t)a->n;"),
    ("chip.h", "m < LOWEST_WEIGHT ? LOWEST_WEIGHT : ", ""),
    ("chip.h", "if (l > 1 && !net->is.has_random_feedback)", "if (l > 1)"),
    ("chip.h", "errors &= ~(a->s[v] >> SIGN);", ";"),
    ("learning.h", "(double)rate * (double)below.largest", "(double)rate"),
    ("learning.h", "return a->weight_bound < PROVEN / 2;", "return 1;"),
    ("learning.h", "below->is_signed ? magnitude(c) : c", "c", "x"),
    ("learning.h", "below.n_units * a->n_erring", "(a - 1)->n * a->n_erring"),
    ("learning.h", "back[v] -= change[v];", ";"),
    ("learning.h", "rule->rate / (int64_t)squares", "rule->rate / ((int64_t)squares + 1)"),
    ("learning.h", "lesser(error < 0 ? -error : error, limit)", "error < 0 ? -error : error"),
    ("learning.h", "p->cuts = largest > limit;", "p->cuts = 0;"),
    ("learning.h", "p->cuts = largest > limit;", "p->cuts = 0;", "stream"),
    ("learning.h", "to[i] = within(to[i], limit);", ";", "glitch"),
    ("learning.h", "if (!times_met && largest", "if (largest", "glitch"),
    ("learning.h", "of_steps > limit.least ? of_steps", "0 ? of_steps", "steps"),
    ("learning.h", "* a->pending.factor[i];", "* a->pending.kept[below->active[i]];", "stream"),
    ("learning.h", "write_waiting(net, a); /* for the", ";  /* for the", "stream", "glitch"),
    ("learning.h", " || !learns_from(net, l, rate, t, below)", "", "glitch"),
    ("learning.h", "(double)limit.per_step * (double)net->inputs_shown", "0", "steps"),
    ("learning.h", "if (p->cuts || p->rows_changed", "if (p->rows_changed", "stream"),
    ("learning.h", "write_waiting_by(net, a, counts);", "write_waiting(net, a);", "stream"),
    ("sample.h", "&& train_is_cut_off(net)", "&& 0", "trains"),
    ("steps.h", "net->inputs_shown += net->step < net->n_steps;", ";", "steps"),
    ("learning.h", "else if (l == 1 || net->is.has_random_feedback)", "else if (l == 1)"),
    ("learning.h", "(double)below.largest * (double)top", "(double)below.largest"),
    ("learning.h", "q < factors.n; q++, matrix", "q < factors.n - 1; q++, matrix"),
    ("learning.h", "may_come_back = below->is_signed", "may_come_back = 0"),
    ("learning.h", "if (in_trains && t + 1 < T)", "if (0)", "trains"),
    (
        "learning.h",
        "{0, net->layer[l].pending.n_written, -1}",
        "{0, net->layer[l].pending.n, -1}",
        "steps",
    ),
    ("learning.h", "+= which.sign * p->rate[q]", "+= p->rate[q]", "steps"),
    ("learning.h", "= which.sign * p->rate[which", "= p->rate[which", "steps"),
    ("learning.h", "pending.at + which.first, which.n", "pending.at, which.n", "steps"),
    ("learning.h", "net->delay ? p->n_before : p->n;", "p->n;"),
    ("learning.h", "net->delay ? p->n_before : p->n;", "p->n_before;"),
    ("learning.h", "n_touched - 1; i >= 0; i--", "n_touched - 1; i > 0; i--"),
    ("learning.h", "before = count;", ";"),
    ("learning.h", "times_met && i < below->n ? times_met[i] : 1", "1"),
    ("learning.h", "if (!a->wiring)\n        net", "net"),
    ("learning.h", "net->follows ? p->kept : below->c", "below->c", "stream"),
    ("learning.h", "s[j] -= squares * taught;", ";", "stream"),
    ("learning.h", "waiting[j] += taught;", "waiting[j] = taught;", "stream"),
    ("learning.h", "back[v] -= taught * counts[v];", ";", "stream"),
    ("learning.h", "below > net->layer && !net", "below > net->layer && net", "stream"),
    ("changes.h", "a->s[v + i] - change->met * waiting[i]", "a->s[v + i]", "stream"),
    ("changes.h", "row[i] = before + by * waiting[i];", ";", "stream"),
    ("changes.h", "    write_waiting(net, a);\n    clear(a->s", "    clear(a->s", "stream"),
    ("changes.h", "p->is_kept && ", "", "stream"),
    ("rows.h", "net->x.are_kept = net->follows", "net->x.are_kept |= net->follows", "stream"),
    ("rows.h", "if (net->follows && !x->are_kept)", "if (0)", "stream"),
    (
        "forward.h",
        "more += magnitude(now) - magnitude(before);",
        "more += magnitude(now);",
        "stream",
    ),
    ("forward.h", "fired += (now == 0) - (before == 0);", "fired += now == 0;", "stream"),
    (
        "forward.h",
        "(given > 0)) >> net->is.bits, net->is.is_binary)",
        "(given > 0)) >> net->is.bits, 0)",
        "stream",
    ),
    ("engine.c", "    write_all_waiting(net);\n    const", "    const", "stream"),
    ("engine.c", "    undo(net);\n    write_all_waiting(net);", "    undo(net);", "stream"),
    ("engine.c", "        a->pending.is_kept = 0;", "", "stream"),
    ("sample.h", "        stop_following(net);", "        ;", "stream"),
    ("trains.h", " && largest_of(top) <= MOST_LABEL", "", "x"),
    ("trains.h", "(product[later] - product[t])", "product[later]", "trains"),
    ("trains.h", "int later = t + 1;", "int later = t + 2;", "trains"),
    ("trains.h", "magnitude(now) * size", "now * size", "trains"),
    ("trains.h", "messages[v] * size", "messages[v]", "trains"),
    ("trains.h", "count[t - 1] != before", "count[t - 1] != 0", "trains"),
    ("rows.h", "(is_near & (few_longs)size) | (~is_near & most)", "(few_longs)size", "x"),
    ("sample.h", "            memcpy(a->psi, a->psi_kept, (size_t)a->width * sizeof(vec));\n", ""),
    ("sample.h", "        restore_weights(net);", "        ;"),
    ("sample.h", "before->is_kept[before->unit[r]] = 0;", ";", "steps"),
    ("sample.h", "has_transpose && j < a->n; j++)", "0;)", "steps"),
    ("learning.h", "        before->is_kept[unit] = 1;\n", "", "steps"),
    ("learning.h", "from < factors.at[q + 1] * LANES ?", "1 ?", "steps"),
    ("forward.h", "if (place < n)", "if (1)", "steps"),
    ("rows.h", "net->layer[0].k[net->x.index[i]] = splat(0);", ";"),
    ("rows.h", "x->place[x->index[i]] = 0;", ";"),
    ("rows.h", "x->is_beyond ? INFINITY : ", "", "x"),
    ("sample.h", "input->s[v] = input->c[v] = input->k[v] =", "input->k[v] ="),
    ("sample.h", "            kept[v] = splat(0);", "            ;", "stream"),
    ("sample.h", "else if (is_any(kept[v]))", "else if (0)", "stream"),
    ("connections.h", "net->by_unit[a[-1].active[i]] = splat(0);", ";"),
    ("steps.h", "write_some(net, a, (struct updates){0,", "(void)((struct updates){0,", "steps"),
    ("sample.h", "a->feedback_bound = largest(", "a->feedback_bound = 0 * largest(", "feedback"),
    ("sample.h", "largest_by_rows(net) : largest(", "largest_by_rows(net) : 0 * largest("),
    ("sample.h", "if (net->is.starts_at_zero)", "if (0)"),
    ("sample.h", "clear(a->phi_y, a->width), clear(a->sum, a->width);", "clear(a->sum, a->width);"),
    ("sample.h", "lead(net, block, i) >= block->margin", "lead(net, block, i) > block->margin"),
    ("sample.h", "const int l = d ? i : L + 1 - i;", "const int l = L + 1 - i;"),
    (
        "sample.h",
        "const int t = net->step - d * (2 * L - l);",
        "const int t = net->step - d * (2 * L - l + 1);",
    ),
    ("sample.h", "net->delay * (2 * L - l);", "net->delay * (2 * L - l - 1);"),
    ("sample.h", "net->n_learned = block->n_learned + i;", "net->n_learned = block->n_learned;"),
    ("sample.h", "        take_back(net);", "        ;"),
    ("sample.h", "p->n_before = p->n_written = 0", "p->n_before = 0"),
    ("sample.h", "a->wiring ? a->sample.up : ", ""),
    ("sample.h", "            net->n_steps = t + 1;\n", ""),
    ("sample.h", "if (block->y.kind == LABELS)\n        first", "if (0)\n        first"),
    ("sample.h", "big total = net->sample_updates;", "big total = 0;"),
    ("sample.h", "    a->sample.error_messages += a->n_erring;\n    return", "    return"),
    (
        "steps.h",
        "    write_updates(net);\n    forget_pending(net);",
        "    write_updates(net);",
        "steps",
    ),
    ("steps.h", "n_noted == net->is.most_steps", "n_noted > net->is.most_steps", "steps"),
    ("steps.h", "    take_back(net);", "    ;", "steps"),
    ("engine.c", "        back_up(net);", "        ;", "steps"),
    ("steps.h", "a->pending.n = kept->n_pending;", ";", "steps"),
    ("steps.h", "for (int j = 0; j < 2; j++)", "for (int j = 0; j < 1; j++)", "steps"),
    ("steps.h", "l > 0 && i < 3", "l > 0 && i < 2", "steps"),
    ("steps.h", "a->sample = kept->sent;", ";", "steps", "x"),
]

#: Faults that the ordinary run looks for too.
QUICK = ("-= change * p->error[i]", "if (!(net->input_bound + half < PROVEN))")


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
    runs = [(bits, n) for n in (FEW, MOST) for bits in (32, 64)]
    assert any(shows_fault(run_networks(library, 1, bits, n, near)) for bits, n in runs)


#: The same in the order of events, of which the first is looked for in the ordinary run.
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
    Edit("event_sample.h", "if (net->is.starts_at_zero)", "if (0)"),
]


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(edit, id=edit.before, marks=pytest.mark.thorough if i else ())
        for i, edit in enumerate(EVENT_FAULTS)
    ],
)
def test_random_networks_in_the_order_of_events_show_a_fault(edit, tmp_path):
    library = build(tmp_path / "engine.so", ["-O0"], edit.sources(tmp_path), only=[1])
    assert shows_fault(run_event_networks(library, 1, MOST))


def shows_fault(done):
    """Whether networks differed, the reference refused one that the engine did not, or a crash."""
    differed = done.returncode and re.search("^(AssertionError|OverflowError)", done.stderr, re.M)
    return done.returncode < 0 or bool(differed)


@pytest.mark.thorough
@pytest.mark.parametrize("near", ["trains", "stream", "x", "y", "weights", "psi"])
def test_random_networks_show_no_fault_where_there_is_none(near, tmp_path):
    library = build(tmp_path / "engine.so", ["-O0"], only=[1])
    for bits in (32, 64):
        done = run_networks(library, 1, bits, N, [near])
        assert (done.returncode, done.stderr) == (0, "")
