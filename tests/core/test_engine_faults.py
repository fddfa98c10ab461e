"""Deliberate faults of the engine: random networks must show each.

Such as find every range check that is left out prove that no number wraps unseen.
"""

import re

import pytest

from spikebp_plugins.engine.building import PACKAGE, build, sources
from tests.core.engine_copies import Edit, run_event_networks, run_networks, skip_without_compiler

skip_without_compiler()

#: Networks among which one shows a fault: few at first, since many faults show in one build alone,
#: after a few; and networks that the engine passes without one.
FEW, MOST, N = 100, 1000, 20
#: Networks that show most faults soon: they correct by many updates of several layers.
FIRST = (32, 40, ("deep",))

#: Tests by hand that show what random networks do not: bounds that are measured after hundreds of
#: samples, or within a sample that is dropped; counts beyond what numbers hold; memory that a
#: dropped sample leaves; weights that are replaced within a sample; and events between bytes.
BY_HAND = "tests/core/test_engine.py::test_"
OF_ROWS = BY_HAND + "bounds_know_the_rows_that_have_changed"
OF_ROWS_READ = BY_HAND + "bounds_know_the_rows_that_are_written_when_they_are_read"
OF_COUNTS = BY_HAND + "a_count_that_numbers_do_not_hold"
UNDONE = BY_HAND + "a_sample_that_has_written_weights_of_all_kinds_is_undone"
OF_WAITING = BY_HAND + "bounds_know_what_weights_wait_for"
HANDED_OVER = BY_HAND + "what_is_handed_over_stays_when_weights_are_replaced_in_a_sample"
BOUNDS_BEFORE = BY_HAND + "bounds_that_a_dropped_sample_has_measured_are_forgotten"
WITHIN = BY_HAND + "nothing_is_proven_of_weights_that_are_set_within_a_sample"
ONCE = BY_HAND + "a_step_that_bounds_do_not_prove_counts_once"
LEARNED_BY_REFERENCE = BY_HAND + "bounds_know_what_the_reference_has_learned"
COUNTS_OF_INPUTS = BY_HAND + "counts_of_inputs_that_32_bits_do_not_hold_are_refused"
BETWEEN_BYTES = BY_HAND + "bytes_after_events_are_read_anew"

#: Single steps, many of which bounds do not prove after some layers have learned.
REFUSED = ("steps", "y", "weights")

#: A file, a text in it, what takes its place, and which numbers are near the limits, if any; or
#: the test by hand that shows it.
FAULTS = [
    # numbers.h
    ("numbers.h", "#define PROVEN (0x1p31 - 0x1p24)", "#define PROVEN 0x1p33", "x"),
    ("numbers.h", "#define PROVEN 0x1p52", "#define PROVEN 0x1p66", "x"),
    ("numbers.h", "#define MOST_COUNTED 0x1p31", "#define MOST_COUNTED 0x1p40", "x"),
    (
        "numbers.h",
        "for (int i = 0; i < LANES; i++) {\n        to[n]",
        "for (int i = 0; i < LANES - 1; i++) {\n        to[n]",
    ),
    ("numbers.h", "return below > above ? below : above;", "return above;"),
    # network.h
    ("network.h", "if (list.place[index] == 0) {", "if (1) {"),
    ("network.h", "list.place[list.index[i]] = 0;", ";"),
    ("network.h", "!is->wirings && !is->delay && ", "!is->delay && ", "stream"),
    ("network.h", "!is->wirings && !is->delay && ", "!is->wirings && "),
    ("network.h", "&& !is->delay && !is->is_chip;", "&& !is->delay;", "stream"),
    # before.h
    ("before.h", "n = *before->rows.n;", "n = place_in(before->rows, row);", "steps"),
    ("before.h", "return a->n_b > 0 && !a->wiring", "return !a->wiring"),
    ("before.h", "a->n_b > 0 && !a->wiring && ", "a->n_b > 0 && ", "wired", "steps"),
    ("before.h", "!a->wiring && !net->is.has_random_feedback", "!a->wiring"),
    ("before.h", "r < *before->rows.n; r++", "r < *before->rows.n - 1; r++", "steps"),
    ("before.h", "before->rows.n && r", "r"),
    ("before.h", "n_weights == 0 || rows.place", "rows.place", "wired", "steps"),
    ("before.h", "numbers[m] = w[weight[m]];", "numbers[m] = w[m];", "wired", "steps"),
    ("before.h", "*rows.n = n + n_weights;", ";", "wired", "steps"),
    (
        "before.h",
        "numbers = a->before.numbers + n;",
        "numbers = a->before.numbers;",
        "wired",
        "steps",
    ),
    (
        "before.h",
        "memcpy((num *)a->w + row * before->length, numbers,",
        "memcpy((num *)a->w + r * before->length, numbers,",
        "steps",
    ),
    ("before.h", "has_transpose(net, a) && j < a->n; j++)", "0;)", "steps"),
    ("before.h", "a->last.is_known = 0;", ";", "steps"),
    ("before.h", "empty(net->layer[l].before.rows);", ";", "steps"),
    # writing.h
    ("writing.h", "if (!below->is_signed) { /* all", "if (1) { /* all"),
    ("writing.h", "&& at < n_factors)", ")", "steps"),
    (
        "writing.h",
        "q < p->n; q++) {\n        const num change",
        "q < p->n - 1; q++) {\n        const num change",
    ),
    ("writing.h", "p->rate[q] * product_of", "product_of"),
    ("writing.h", "-= change * p->error[i]", "+= change * p->error[i]"),
    ("writing.h", "times += n_updates", "times++"),
    ("writing.h", "q < n_updates; q++", "q < n_updates - 1; q++"),
    ("writing.h", "matrix += writing->n_touched;", ";"),
    ("writing.h", "at[i] = writing->touched[first + i];", "at[i] = first + i;"),
    ("writing.h", "clear(net->matrix, p->n * n);", ";"),
    ("writing.h", "[p->unit[i] % LANES] = p->rate[q] * ", "[p->unit[i] % LANES] = "),
    ("writing.h", "net->mark[net->touched[i]] = 0;", ";"),
    ("writing.h", "q = 0; may_come_back && q", "q = 0; 0 && q"),
    ("writing.h", "list_nonzero(some, i * LANES, net->listed_at + n);", ";"),
    ("writing.h", "write_nonzero(some, found, net->times + n);", ";"),
    ("writing.h", "at < rows.at[q + 1] * LANES ? ", "1 ? ", "steps"),
    ("writing.h", "now - before, before = now;", "now - before;"),
    ("writing.h", "net->matrix[i] += net->matrix[i + n_touched];", ";"),
    ("writing.h", "n_touched - 1; i >= 0; i--", "n_touched - 1; i > 0; i--"),
    ("writing.h", "r = 0; is_open && r", "r = 0; 0 && r", "steps"),
    ("writing.h", "r = 0; is_open && r", "r = 0; r"),
    ("writing.h", "rows, a[-1].is_signed);", "rows, 0);"),
    ("writing.h", "a - 1 == net->layer && r < n_rows", "0 && r < n_rows", OF_ROWS),
    ("writing.h", "memset(net->times + n_rows * p->n, 0, sizeof(num) * (size_t)p->n);", ""),
    ("writing.h", "* p->n + q] = p->rate[q] * p->error", "* p->n + q] = p->error"),
    ("writing.h", "net->mark[net->listed[r]] = 0;", ";"),
    (
        "writing.h",
        "write_connected(net, a, q, is_open)",
        "write_connected(net, a, q, 0)",
        "wired",
        "steps",
    ),
    ("writing.h", "        a->last.is_known = 0;", "", "chip"),
    ("writing.h", "if (a->last.is_known)\n", "if (0)\n"),
    ("writing.h", "            write_transpose(net, a);", "            ;"),
    ("writing.h", "    p->n = 0;\n", ""),
    ("writing.h", "last->waiting[v] = splat(0);", ";", "stream"),
    ("writing.h", "net->gathered[i] = last->numbers[last->some.index[i]];", ";", "stream"),
    # drive.h
    ("drive.h", "EACH(i, n) drive[i] += by * row[i];", "EACH(i, n) drive[i] += row[i];"),
    ("drive.h", "kept[i] - change->met * waiting[i]", "kept[i]", "stream"),
    ("drive.h", "row[i] = before + by * waiting[i];", ";", "stream"),
    (
        "drive.h",
        "drive[i] += by * before;",
        "drive[i] += by * (before + by * waiting[i]);",
        "stream",
    ),
    ("drive.h", "n += now.place[then.index[i]] == 0;", ";"),
    ("drive.h", "n += now.place[then.index[i]] == 0;", "n++;"),
    ("drive.h", "now = net->x.is_change ? net->layer[0].active : ", "now = ", "stream"),
    ("drive.h", "follows = last->is_known && is_near", "follows = is_near"),
    (
        "drive.h",
        "        write_waiting(net, a);\n        clear(last",
        "        clear(last",
        "stream",
    ),
    ("drive.h", "        note_vectors(net, last);", "        ;"),
    ("drive.h", "clear(last->drive, a->width);", ";"),
    ("drive.h", "    if (!follows)\n        some = last->some;\n", "", "stream"),
    ("drive.h", "sent[last->some.index[i]] = splat(0);", ";"),
    ("drive.h", "others |= (by != 0) & (by != 1);", ";"),
    ("drive.h", "by * before;\n        sent[v] = now;", "by * before;"),
    ("drive.h", "            met += by * before;", "            ;", "stream"),
    ("drive.h", "waits && below == net->layer && r", "0 && r", OF_ROWS_READ),
    ("drive.h", "is_due = p->cuts || ", "is_due = ", "stream", "glitch"),
    ("drive.h", "    if (p->cuts)\n        write_waiting(net, a);\n", "", "stream", "glitch"),
    ("drive.h", "correct_drive(last->drive, last->numbers, last->some, a);", ";", "stream"),
    (
        "drive.h",
        "[p->unit[i]] += p->rate[0] * p->error[i];",
        "[p->unit[i]] = p->rate[0] * p->error[i];",
        "stream",
    ),
    (
        "drive.h",
        "[p->unit[i]] += p->rate[0] * p->error[i];",
        "[p->unit[i]] += p->error[i];",
        "stream",
    ),
    ("drive.h", "        write_transpose(net, a);", "        ;", "stream"),
    ("drive.h", "p->n = 0, last->waits = 1;", "p->n = 0;", "stream"),
    ("drive.h", "(double)net->layer[l - 1].sent * net", "net", "x"),
    ("drive.h", "a->sample.up += operations_of", "a->sample.up = operations_of"),
    ("drive.h", "a->sample.messages_up += synapses", "a->sample.messages_up = synapses"),
    ("drive.h", "correct_drive(drive, below->k, sent_by(net, below), a);", ";"),
    # rounding.h
    ("rounding.h", "(uint64_t)net->step + 1", "(uint64_t)net->step", "chip"),
    ("rounding.h", "(uint64_t)a->n + 1;", "(uint64_t)a->n;", "chip"),
    ("rounding.h", "(uint64_t)net->is.seed)", "0)", "chip"),
    ("rounding.h", "absorbed(absorbed(state, step), (uint64_t)l)", "absorbed(state, step)", "chip"),
    (
        "rounding.h",
        "index[at / LANES] * LANES",
        "index[0] * LANES + (int)(at / LANES) * LANES",
        "chip",
    ),
    ("rounding.h", "* p->error[u] + part)", "* p->error[u])", "chip"),
    ("rounding.h", "(row[j] >> shift)", "row[j]", "chip"),
    ("rounding.h", "m < LOWEST_WEIGHT ? LOWEST_WEIGHT : ", "", "chip"),
    ("rounding.h", "m > HIGHEST_WEIGHT ? HIGHEST_WEIGHT : m", "m", "chip"),
    ("rounding.h", "if (l > 1 && !net->is.has_random_feedback)", "if (l > 1)", "chip"),
    (
        "rounding.h",
        "if (l > 1 && !net->is.has_random_feedback)",
        "if (!net->is.has_random_feedback)",
        "chip",
    ),
    # rows.h
    ("rows.h", "net->x.is_beyond |= fabs((double)count) > far;", ";", OF_COUNTS),
    ("rows.h", "x->is_beyond |= (double)(uint64_t)sizes[lane] > farthest();", ";", OF_COUNTS),
    ("rows.h", "(is_near & (few_longs)size) | (~is_near & most)", "(few_longs)size", "x"),
    ("rows.h", "if (!x->is_change && !is_any(numbers))", "if (!is_any(numbers))", "stream"),
    ("rows.h", "if (net->has_one_step && !x->are_kept)", "if (0)", "stream"),
    ("rows.h", "net->has_one_step ? kept : dark", "kept", "stream"),
    (
        "rows.h",
        "        if (net->has_one_step)\n            memcpy(",
        "        if (0)\n            memcpy(",
        "stream",
    ),
    ("rows.h", "        x->numbers[at] = splat(0);", "        ;"),
    ("rows.h", "(net->is.is_binary || net->is.is_chip) &&", "net->is.is_binary &&", "chip"),
    ("rows.h", "(net->is.is_binary || net->is.is_chip) &&", "net->is.is_chip &&"),
    ("rows.h", "is_chip) && !net->is.takes_counts", "is_chip)"),
    ("rows.h", " && !net->has_one_step;", ";", "stream"),
    ("rows.h", "i < *before.n && !net->x.is_change", "i < *before.n", "stream"),
    ("rows.h", "input->k[before.index[i]] = splat(0);", ";"),
    ("rows.h", "    empty(net->x.some);", "    ;"),
    ("rows.h", "x->is_beyond ? INFINITY : ", "", OF_COUNTS),
    ("rows.h", "kind == LEVELS && x->unit == NULL", "kind == LEVELS", "stream"),
    (
        "rows.h",
        "net->x.are_kept = net->has_one_step",
        "net->x.are_kept |= net->has_one_step",
        "stream",
    ),
    ("rows.h", "are_kept = net->has_one_step && are_bytes(x)", "are_kept = are_bytes(x)", "stream"),
    ("rows.h", "        place_in(net->layer[0].active, net->x.some.index[i]);", "        ;"),
    # forward.h
    ("forward.h", "under = splat(net->half - 1);", "under = splat(net->half);"),
    ("forward.h", "        if (is_binary)\n            now = least(now, splat(1));\n", ""),
    ("forward.h", "most(least(spikes, splat(1)), splat(-1))", "least(spikes, splat(1))"),
    ("forward.h", "if (!(net->input_bound + half < PROVEN))", "if (0)"),
    ("forward.h", "if (!(a->drive_bound * a->n < MOST_COUNTED))", "if (0)", "x"),
    ("forward.h", "(is_binary ? net->input_bound : half) + x->largest", "x->largest", "x"),
    ("forward.h", "if (!x->is_change)\n        a->sent", "if (1)\n        a->sent", "stream"),
    ("forward.h", "if (!x->is_change)\n        a->sent", "if (0)\n        a->sent"),
    (
        "forward.h",
        "takes_counts || has_one_step ? given[i] : s[v]",
        "takes_counts ? given[i] : s[v]",
    ),
    ("forward.h", "(phi + net->half + (phi > 0)) >>", "(phi + net->half) >>"),
    ("forward.h", "s[v] -= takes_counts ? splat(0) : now << bits;", ";"),
    ("forward.h", "            c[v] += now;\n        }", "        }"),
    ("forward.h", "more -= magnitude(k[v]);", ";", "stream"),
    ("forward.h", "            fired -= k[v] == 0;", "            ;", "stream"),
    ("forward.h", "            fired -= splat(-1);", "            ;"),
    ("forward.h", "if (bound < limit)", "if (1)"),
    ("forward.h", "a->drive_bound += received;", ";", "x"),
    ("forward.h", "a->sample.messages += a->n_fired;", ";"),
    (
        "forward.h",
        "if (range == EXACT && !is_in_range(net, a, a->drive_bound = largest_drive(net, a)))",
        "if (0)",
        "x",
    ),
    # backward.h
    ("backward.h", "a->target_bound + half < PROVEN\n            && ", "", "y"),
    (
        "backward.h",
        "(a->k[v] - m) & ~(a->s[v] >> SIGN)",
        "(a->k[v] - m) & ~((a->s[v] - 1) >> SIGN)",
    ),
    ("backward.h", "-p->rate[q] * product", "p->rate[q] * product", "deep"),
    ("backward.h", "q < p->n && !net->is.has_random_feedback; q++", "q < p->n; q++", "deep"),
    ("backward.h", "q < p->n && !net->is.has_random_feedback; q++", "0; q++", "deep"),
    ("backward.h", "net->row[n] = p->factor + p->at[q];", "net->row[n] = p->factor;", "deep"),
    ("backward.h", "a->psi_bound += received;", ";", "psi"),
    (
        "backward.h",
        "is_random ? above->feedback_bound : above->weight_bound",
        "above->weight_bound",
        "feedback",
    ),
    (
        "backward.h",
        "if (range == EXACT && !is_in_range(net, a, a->psi_bound = largest(a->psi, a->width)))",
        "if (0)",
        "psi",
    ),
    ("backward.h", "above->sample.down += operations_of", "above->sample.down = operations_of"),
    ("backward.h", "messages_down += synapses", "messages_down = synapses"),
    ("backward.h", "is_silent && a->psi_bound <= half", "is_silent"),
    ("backward.h", "is_silent && a->psi_bound <= half", "a->psi_bound <= half"),
    ("backward.h", "(double)above->errors_sent * backward_bound", "backward_bound", "x"),
    ("backward.h", "        error &= ~(s[v] >> SIGN);", "        ;"),
    # connections.h
    (
        "connections.h",
        "spread + target + v * LANES, channels - v * LANES",
        "spread + target + v * LANES, LANES",
        "wired",
    ),
    (
        "connections.h",
        "factor + target[m] + v * LANES, channels - v * LANES",
        "factor + target[m] + v * LANES, LANES",
        "wired",
    ),
    ("connections.h", "(big)(times < 0 ? -times : times)", "(big)times"),
    ("connections.h", "total += fan->n_synapses[from.unit[a]];", "total++;"),
    ("connections.h", "n_changed += n_errors;", "n_changed++;"),
    ("connections.h", "n_changed += times != 0;", "n_changed++;"),
    ("connections.h", "[erring[i] / wired->channels * wired->channels] = 0;", "[0] = 0;"),
    ("connections.h", "net->spread[erring[i]] = 0;", ";"),
    ("connections.h", "a->n_b > 0 && !net->is.has_random_feedback", "a->n_b > 0"),
    ("connections.h", "= p->rate[q] * p->error[p->first[q] + i]", "= p->error[p->first[q] + i]"),
    ("connections.h", "row[v] -= change * first_of", "row[v] += change * first_of"),
    ("connections.h", "row[v] -= times * first_of", "row[v] -= first_of"),
    ("connections.h", "times * *(const vec *)(row", "*(const vec *)(row"),
    ("connections.h", "times * row[begin[m]]", "row[begin[m]]"),
    ("connections.h", "            keep_fan(a, erring[i]);", "            ;", "wired", "steps"),
    ("connections.h", "            keep_row(a, 0);", "            ;", "wired", "steps"),
    ("connections.h", "net->by_unit[a[-1].active.index[i]] = splat(0);", ";", "wired"),
    # chip.h
    ("chip.h", "        clear(a->arriving, a->width);\n", "", "chip"),
    ("chip.h", "        clear(a->arriving_back, a->width);\n", "", "chip"),
    ("chip.h", "saturated(a->phi[v] + a->arriving[v])", "a->phi[v] + a->arriving[v]", "chip"),
    ("chip.h", "saturated(a->s[v] + a->arriving[v])", "a->s[v] + a->arriving[v]", "chip"),
    ("chip.h", "1 : LARGEST_MESSAGE;", "1 : LARGEST_MESSAGE + 1;", "chip"),
    ("chip.h", "saturated(*phi + saturated(x->", "saturated(*phi + (x->", "chip", "x"),
    ("chip.h", "within(a->k[v] - m, LARGEST_MESSAGE)", "a->k[v] - m", "chip"),
    ("chip.h", "saturated(((const vec *)y)[v])", "((const vec *)y)[v]", "chip", "y"),
    (
        "chip.h",
        "saturated(a->psi[v] + a->arriving_back[v])",
        "a->psi[v] + a->arriving_back[v]",
        "chip",
    ),
    ("chip.h", "&a->phi_y[v], -1)", "&a->phi_y[v], 0)", "chip"),
    ("chip.h", "errors &= ~(a->s[v] >> SIGN);", ";", "chip"),
    # learning.h
    ("learning.h", "(double)rate * (double)below.largest", "(double)rate"),
    ("learning.h", "(double)below.largest * (double)top", "(double)below.largest"),
    ("learning.h", "return a->weight_bound < PROVEN / 2;", "return 1;"),
    ("learning.h", "most(top, magnitude(c))", "most(top, c)", "x"),
    ("learning.h", "below.n_units * a->n_erring", "(a - 1)->n * a->n_erring"),
    ("learning.h", "if (!a->wiring)\n        net", "net"),
    (
        "learning.h",
        "net->has_one_step ? below->k : below->c",
        "below->c",
        "stream",
    ),
    ("learning.h", "rule->rate / (int64_t)squares", "rule->rate / ((int64_t)squares + 1)"),
    ("learning.h", "lesser(error < 0 ? -error : error, limit)", "error < 0 ? -error : error"),
    ("learning.h", "p->cuts = largest > limit;", "p->cuts = 0;"),
    ("learning.h", "p->cuts = largest > limit;", "p->cuts = 0;", "stream"),
    ("learning.h", "to[i] = within(to[i], limit);", ";", "glitch"),
    ("learning.h", "if (!times_met && largest", "if (largest", "glitch"),
    ("learning.h", "times_met && i < below->n ? times_met[i] : 1", "1"),
    ("learning.h", "of_steps > limit.least ? of_steps", "0 ? of_steps", "steps"),
    ("learning.h", " || !learns_from(net, l, rate, below)", "", "glitch"),
    ("learning.h", "(double)limit.per_step * (double)net->inputs_shown", "0", "steps"),
    # engine.c
    ("engine.c", "            a->last.some.index[(*a->last.some.n)++] = v;", "            ;"),
    ("engine.c", "    write_all_waiting(net);\n    const", "    const", "stream"),
    ("engine.c", "    undo(net);\n    write_all_waiting(net);", "    undo(net);", "stream"),
    (
        "engine.c",
        "    undo(net);\n    write_all_waiting(net);",
        "    write_all_waiting(net);",
        UNDONE,
    ),
    ("engine.c", "a->weight_bound = a->feedback_bound = a->psi_bound = INFINITY;", ";", WITHIN),
    ("engine.c", "        a->last.is_known = 0;", "        ;"),
    ("engine.c", "keep_row(&net->layer[l], row);", ";", *REFUSED),
    ("engine.c", "        prepare(net);\n", ""),
    # sample.h
    ("sample.h", "top = fmax(top, largest(", "top = fmin(top, largest(", OF_ROWS),
    ("sample.h", "write_waiting(net, a);\n        a->weight_bound", "a->weight_bound", OF_WAITING),
    ("sample.h", "largest_by_rows(net) : largest(", "largest_by_rows(net) : 0 * largest("),
    ("sample.h", "a->psi_bound = largest(", "a->psi_bound = 0 * largest(", "psi"),
    ("sample.h", "a->feedback_bound = largest(", "a->feedback_bound = 0 * largest(", "feedback"),
    ("sample.h", "net->layer[l].pending.n = 0;", ";", "steps"),
    ("sample.h", "    restore_weights(net);\n", ""),
    (
        "sample.h",
        "    restore_weights(net);\n    forget_weights(net);",
        "    restore_weights(net);",
        UNDONE,
    ),
    (
        "sample.h",
        "    forget_pending(net);\n    for (int l = 1; net->is_taught",
        "    for (int l = 1; net->is_taught",
        "steps",
    ),
    ("sample.h", "l = 1; net->is_taught && l", "l = 1; l"),
    ("sample.h", "a->weight_bound = a->weight_bound_before;", ";", BOUNDS_BEFORE),
    ("sample.h", "a->psi_bound = a->psi_bound_before;", ";", "psi"),
    ("sample.h", "copy(a->psi, a->psi_before, a->width);", ";"),
    ("sample.h", "    undo(net);\n    if (net->age", "    if (net->age", "steps"),
    ("sample.h", "input->s[v] = input->c[v] = input->k[v] =", "input->k[v] ="),
    (
        "sample.h",
        "input->s[v] = input->c[v] = input->k[v] =",
        "input->s[v] = input->c[v] =",
        "stream",
    ),
    (
        "sample.h",
        "        write_all_waiting(net);\n        net->x.are",
        "        net->x.are",
        "stream",
    ),
    ("sample.h", "net->x.are_kept = net->x.is_change = 0;", "net->x.are_kept = 0;", BETWEEN_BYTES),
    ("sample.h", "net->x.are_kept = net->x.is_change = 0;", "net->x.is_change = 0;", BETWEEN_BYTES),
    (
        "sample.h",
        "if (!net->x.is_change)\n        forget_input",
        "if (1)\n        forget_input",
        "stream",
    ),
    ("sample.h", "if (!net->x.is_change)\n        forget_input", "if (0)\n        forget_input"),
    ("sample.h", "clear(a->c, a->width), clear(a->s, a->width);", "clear(a->s, a->width);"),
    ("sample.h", "            clear(a->phi, a->width);", "            ;", "chip"),
    ("sample.h", "clear(a->phi_y, a->width), clear(a->sum, a->width);", "clear(a->sum, a->width);"),
    (
        "sample.h",
        "clear(a->phi_y, a->width), clear(a->sum, a->width);",
        "clear(a->phi_y, a->width);",
    ),
    ("sample.h", "copy(a->psi_before, a->psi, a->width);", ";"),
    ("sample.h", "if (net->is.starts_at_zero)", "if (0)"),
    ("sample.h", "lead(net, block, i) >= block->margin", "lead(net, block, i) > block->margin"),
    ("sample.h", "        a->k[before.index[i]] = splat(0);", "        ;"),
    (
        "sample.h",
        "const int t = net->step - d * l;",
        "const int t = net->step - d * (l > 0);",
        "delays",
    ),
    (
        "sample.h",
        "const int t = net->step - d * (2 * L - l);",
        "const int t = net->step - d * (2 * L - l + 1);",
        "delays",
    ),
    ("sample.h", "net->delay * (2 * L - l);", "net->delay * (2 * L - l - 1);", "delays"),
    (  # what is sent passes the weights before they learn
        "sample.h",
        "    for (int l = 1; d && l <= L; l++)\n",
        (
            "    target.y = d && target.y && learn_step(net) ? 0 : target.y;\n"
            "    for (int l = 1; d && l <= L; l++)\n"
        ),
        "delays",
    ),
    ("sample.h", "    clear(a->arriving, a->width);\n", ""),
    ("sample.h", "    clear(a->arriving_back, a->width);\n", ""),
    ("sample.h", "    a->most_arriving_back = most_received_errors(net, l);\n", "", "psi"),
    ("sample.h", "net->layer[l].wiring || net->is.is_chip)\n", "net->layer[l].wiring)\n", "chip"),
    ("sample.h", "net->layer[l].wiring || net->is.is_chip)\n", "net->is.is_chip)\n"),
    (
        "sample.h",
        "net->is.is_chip)\n            write_layer(net, &net->layer[l], 1);",
        "net->is.is_chip)\n            write_layer(net, &net->layer[l], 0);",
        "wired",
        "steps",
    ),
    ("sample.h", "pending.n == net->is.most_pending", "pending.n > net->is.most_pending"),
    (
        "sample.h",
        "most_pending)\n            write_layer(net, &net->layer[l], 1);",
        "most_pending)\n            write_layer(net, &net->layer[l], 0);",
        "steps",
    ),
    ("sample.h", "        make_room(net);\n", ""),
    ("sample.h", "        end_step(net);\n", ""),
    ("sample.h", "            net->n_steps = t + 1;\n", ""),
    ("sample.h", "net->has_one_step && net->layer[l].pending.n > 0", "net->layer[l].pending.n > 0"),
    ("sample.h", "net->has_one_step && net->layer[l].pending.n > 0", "net->has_one_step", "stream"),
    (
        "sample.h",
        "    forget_weights(net);\n    net->is_taught = 0;\n    net->updates",
        "    net->is_taught = 0;\n    net->updates",
        "steps",
    ),
    ("sample.h", "    net->is_taught = 0;\n    net->updates", "    net->updates"),
    (
        "sample.h",
        "net->x.is_change = net->has_one_step && net->x.are_kept",
        "net->x.is_change = net->has_one_step",
        "stream",
    ),
    (
        "sample.h",
        "net->n_learned = block->n_learned + net->trained;",
        "net->n_learned = block->n_learned;",
        "chip",
    ),
    ("sample.h", "undo(net), net->x.are_kept = 0;", "net->x.are_kept = 0;"),
    ("sample.h", "a->wiring ? a->sample.up : ", ""),
    ("sample.h", "if (block->y.kind == LABELS)\n        first", "if (0)\n        first"),
    ("sample.h", "big total = net->sample_updates;", "big total = 0;"),
    ("sample.h", "    a->sample.error_messages += a->n_erring;\n    return", "    return"),
    # steps.h
    (
        "steps.h",
        "drive_bound = largest_drive(net",
        "drive_bound = 0 * largest_drive(net",
        "steps",
        "x",
    ),
    ("steps.h", "for (int j = 0; j < 2; j++)", "for (int j = 0; j < 1; j++)", "steps"),
    ("steps.h", "(net->delay ? 5 : 3)", "(net->delay ? 4 : 3)", HANDED_OVER),
    ("steps.h", "(net->delay ? 5 : 3)", "3", HANDED_OVER),
    ("steps.h", "    keep_step(net, 0);\n", "", "steps"),
    ("steps.h", "    keep_step(net, 1);\n", "", "steps"),
    ("steps.h", "        end_step(net);\n", "", "steps"),
    ("steps.h", "    make_room(net);\n", "", "steps"),
    ("steps.h", "net->inputs_shown += net->step < net->n_steps;", ";", "steps"),
    ("steps.h", "        prepare(net);\n        net", "        net", "steps"),
    ("steps.h", "fmax(net->input_bound, largest(&input->s[v], 1))", "0", "steps", "x"),
    ("sample.h", "net->x.are_kept && are_bytes(&block->x)", "net->x.are_kept", "stream"),
    ("steps.h", "target_bound = largest(", "target_bound = 0 * largest(", "steps", "y"),
    (
        "steps.h",
        "    write_updates(net, 1);\n    measure_all",
        "    write_updates(net, 0);\n    measure_all",
        "steps",
        "x",
    ),
    (
        "steps.h",
        "        prepare(net);\n        net->has_one_step = 0;",
        "        prepare(net);",
        "steps",
        "stream",
    ),
    (
        "steps.h",
        "fmax(input->drive_bound, largest(&input->c[v], 1))",
        "0",
        COUNTS_OF_INPUTS,
    ),
    ("steps.h", "(net->delay ? 5 : 3)", "(net->delay ? 5 : 2)", *REFUSED),
    ("steps.h", "l == net->is.n_layers ? a->phi_y : a->psi", "a->psi", *REFUSED),
    ("steps.h", "a->sample = before->sent, ", "", *REFUSED),
    ("steps.h", ", a->pending.n = before->n_pending;", ";", "steps", "deep", "y"),
    ("steps.h", "= is_back ? net->updates_before : net", "= net", ONCE),
    ("steps.h", "    net->inputs_shown = inputs_before;\n", "", ONCE),
    (
        "steps.h",
        "    write_updates(net, 1);\n    measure_all",
        "    measure_all",
        "steps",
        "deep",
        "y",
    ),
    ("steps.h", "forget_pending(net);\n        measure_all(net);", "measure_all(net);", *REFUSED),
    ("steps.h", "            forget_pending(net);\n            return 0;", "return 0;", *REFUSED),
    ("steps.h", ", place_in(net->x.some, v);", ";", "steps", "x"),
    ("steps.h", "net->layer[l].weight_bound = INFINITY;", ";", LEARNED_BY_REFERENCE),
    ("steps.h", "        net->layer[l].last.is_known = 0;\n", "", ONCE),
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
    runs = [] if near else [FIRST]
    runs += [(bits, n, near) for n in (FEW, MOST) for bits in (32, 64)]
    assert any(shows_fault(run_networks(library, 1, *each)) for each in runs)


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


def test_texts_of_faults_stand_once():
    """Those that are looked for at all: most are looked for in the thorough run alone."""
    text = {path.name: path.read_text() for path in sources(PACKAGE)}
    edits = [*(Edit(*fault[:3]) for fault in FAULTS), *EVENT_FAULTS]
    assert [edit for edit in edits if text[edit.file].count(edit.before) != 1] == []


def shows_fault(done):
    """Whether networks differed, the reference refused one that the engine did not, or a crash."""
    differed = done.returncode and re.search("^(AssertionError|OverflowError)", done.stderr, re.M)
    return done.returncode < 0 or bool(differed)


@pytest.mark.thorough
@pytest.mark.parametrize("near", ["constant", "stream", "x", "y", "weights", "psi"])
def test_random_networks_show_no_fault_where_there_is_none(near, tmp_path):
    library = build(tmp_path / "engine.so", ["-O0"], only=[1])
    for bits in (32, 64):
        done = run_networks(library, 1, bits, N, [near])
        assert (done.returncode, done.stderr) == (0, "")
