/* ---- Samples that follow each other ---------------------------------------------------------- */

/* Consecutive samples of a stream have most of their spikes in common. So each connection keeps the
 * counts k that it received last (spike_count) and their drive, d = k W (arriving). Of a sample that
 * is shown as a whole it reads only the rows of units whose counts change,
 *
 *     d += change_i W[i],
 *
 * and subtracts from d at once what learning from k and the errors e changes: d -= rate (k . k) e.
 *
 * Updates wait too. Each row has to learn k_i rate e; P, the sum of rate e, waits, so the true weights
 * are W[i] - k_i P. A row is written when its own count changes, since it is read then anyway. The
 * same k_i P is subtracted from sums of rows that wait:
 *
 *     W[i] += change_i P,  and  d -= (sum of change_i k_i) P  with the counts before the change;
 *     errors bring to a unit below the sum of e_j W[i][j], less k_i (e . P).
 *
 * Integers do not round, so these are the numbers of a sample that is evaluated in full. Full
 * evaluation is the case k = 0 and d = 0, and is done where it reads fewer rows.
 *
 * No number leaves its type. A weight that waits cannot be checked, so that rows wait only while
 * `slack` says that none can have come to its limit. W[i] is a weight plus k_i P, and is written only
 * if that fits too. Sums of such products are differences of two sums of as many weights. */

/* Whether the open sample is shown as a whole, or the last one was: then everything is kept. */
static uint8_t is_whole;

/* The updates that rows of weights still wait for, P, and their largest magnitude. */
static net_state_t waiting[UPPER_UNITS];
static net_state_t most_waiting[LAYERS + 1];

/* By how much any weight may surely change; 0 if that is not known. After so many samples weights
 * are measured again. */
enum { SAMPLES_UNMEASURED = 64 };
static net_state_t slack[LAYERS + 1];
static int32_t until_measured[LAYERS + 1];

/* The units whose counts have changed in the layer that fired last. Of the changes: the sum of their
 * magnitudes, that of their products with the counts before, and the largest count after one. */
static unit_t changed[MOST_BELOW];
static int32_t n_changed;
static state_bits_t changes_sent, changes_met;
static net_state_t most_changed;

/* For each connection: the rows that have changed since it learned last; moving averages of the
 * weights in such rows, and of those that an error meets. */
static int64_t rows_changed[LAYERS + 1];
static int64_t usually_changed[LAYERS + 1];
static int64_t usually_taught[LAYERS + 1];

/* Write the waiting updates to the rows of connection l. */
static void write_waiting(int32_t l)
{
    const struct connection *c = &CONNECTIONS[l - 1];
    net_weight_t *row = weights + c->first_weight;
    net_state_t *sum = waiting + UPPER(l);
    int32_t i, b;
    if (most_waiting[l] == 0)
        return;
    for (i = 0; i < c->below_channels; i++, row += c->channels) {
        net_state_t count = spike_count[FIRST_UNIT[l - 1] + i];
        for (b = 0; count != 0 && b < c->channels; b++)
            row[b] = (net_weight_t)(row[b] - count * sum[b]);
        NET_COUNT(multiply_adds, count != 0, c->channels);
    }
    memset(sum, 0, (size_t)c->channels * sizeof *sum);
    most_waiting[l] = 0;
}

static void write_all_waiting(void)
{
    int32_t l;
    for (l = 1; l <= LAYERS; l++)
        write_waiting(l);
}

/* Write what waits, and keep nothing: as before the first sample. Others may change weights then. */
static void forget(void)
{
    write_all_waiting();
    memset(slack, 0, sizeof slack);
    memset(spikes, 0, sizeof spikes);
    memset(spike_count, 0, sizeof spike_count);
    memset(arriving, 0, sizeof arriving);
    memset(n_spiking, 0, sizeof n_spiking);
    memset(spikes_sent, 0, sizeof spikes_sent);
    memset(n_met, 0, sizeof n_met);
}

/* Note how many spikes a unit of a lower layer sends, and whether there were as many before. Returns
 * how many units that send any are listed, of which n were. */
static inline int32_t note_count(int32_t l, int32_t unit, int32_t n, net_state_t count)
{
    int32_t first = FIRST_UNIT[l];
    met[first + n] = (unit_t)unit;
    if (count != spikes[first + unit]) {
        check(magnitude(count), LARGEST_COUNT);
        spikes[first + unit] = (net_count_t)count;
        changed[n_changed++] = (unit_t)unit;
    }
    return n + (count != 0);
}

/* Sum up what has changed in layer l, of which n units send any now. Products of two counts fit; a
 * sum of them is used only if it fits too, as that of the spikes sent does then. */
static void sum_changes(int32_t l, int32_t n)
{
    const net_count_t *now = spikes + FIRST_UNIT[l], *before = spike_count + FIRST_UNIT[l];
    int64_t sum = spikes_sent[l];
    int32_t i;
    changes_sent = changes_met = 0;
    most_changed = 0;
    for (i = 0; i < n_changed; i++) {
        net_state_t count = now[changed[i]], kept = before[changed[i]], change = count - kept;
        sum += magnitude(count) - magnitude(kept);
        changes_sent += (state_bits_t)magnitude(change);
        changes_met += (state_bits_t)(change * kept);
        if (magnitude(count) > most_changed)
            most_changed = magnitude(count);
    }
    is_outside |= sum > LARGEST_STATE;
    n_met[l] = n_spiking[l] = n;
    spikes_sent[l] = is_outside ? 0 : (net_state_t)sum;
    NET_COUNT(spikes, spikes_sent[l], 1);
    NET_COUNT(messages, n, 1);
}

/* How many spikes an input that is no pixel sends. */
static net_state_t spikes_of_input(const void *x, enum input kind, int32_t unit)
{
    net_state_t v = input_of(x, kind, unit);
    if (!is_between(v, kind == SPIKES ? LARGEST_COUNT : LARGEST_STATE)) {
        is_outside = 1;
        return 0;
    }
    return kind == SPIKES ? v : fire(&v);
}

/* The input fires. */
static void fire_changes(const void *x, enum input kind)
{
    int32_t n = 0, unit;
    n_changed = 0;
#if NET_TAKES_PIXELS
    if (kind == PIXELS)
        for (unit = 0; unit < NET_INPUTS; unit++)
            n = note_count(0, unit, n, SPIKES_OF_PIXEL[((const uint8_t *)x)[unit]]);
    else
#endif
        for (unit = 0; unit < NET_INPUTS; unit++)
            n = note_count(0, unit, n, spikes_of_input(x, kind, unit));
    sum_changes(0, n);
}

/* Write to the rows of the units in a list what waits, each times the change of its count: they are
 * right for the counts of now then. */
static void write_rows(net_weight_t *first, int32_t length, const unit_t *list, int32_t n,
    const net_count_t *change, const net_state_t *sum)
{
    int32_t i, b;
    for (i = 0; i < n; i++) {
        net_weight_t *row = first + list[i] * length;
        net_state_t count = change[list[i]];
        for (b = 0; b < length; b++)
            row[b] = (net_weight_t)(row[b] + count * sum[b]);
    }
}

/* Bring to layer l the changes below, on top of what is kept. */
static void add_changes(int32_t l)
{
    const struct connection *c = &CONNECTIONS[l - 1];
    const net_count_t *sent = spikes + FIRST_UNIT[l - 1];
    net_count_t *kept = spike_count + FIRST_UNIT[l - 1];
    net_weight_t *first = weights + c->first_weight;
    net_state_t *to = arriving + UPPER(l), *sum = waiting + UPPER(l);
    net_state_t met_before = (net_state_t)changes_met;
    int32_t i, b;
    /* While rows are added the changes stand where the counts are kept. */
    for (i = 0; i < n_changed; i++)
        kept[changed[i]] = (net_count_t)(sent[changed[i]] - kept[changed[i]]);
    add_rows(to, first, c->channels, changed, n_changed, kept);
    if (most_waiting[l] != 0) {
        write_rows(first, c->channels, changed, n_changed, kept, sum);
        for (b = 0; met_before != 0 && b < c->channels; b++)
            to[b] -= met_before * sum[b];
        NET_COUNT(multiply_adds, n_changed + (met_before != 0), c->channels);
    }
    for (i = 0; i < n_changed; i++)
        kept[changed[i]] = sent[changed[i]];
    NET_COUNT(rows_read, n_changed, 1);
    NET_COUNT(multiply_adds, n_changed, c->channels);
}

/* Bring to layer l all that is sent below. */
static void start_over(int32_t l)
{
    const struct connection *c = &CONNECTIONS[l - 1];
    const net_count_t *sent = spikes + FIRST_UNIT[l - 1];
    net_state_t *to = arriving + UPPER(l);
    int32_t n = n_met[l - 1];
    write_waiting(l);
    memcpy(spike_count + FIRST_UNIT[l - 1], sent, (size_t)c->below_channels * sizeof *sent);
    memset(to, 0, (size_t)c->channels * sizeof *to);
    add_rows(to, weights + c->first_weight, c->channels, met + FIRST_UNIT[l - 1], n, sent);
    NET_COUNT(rows_read, n, 1);
    NET_COUNT(multiply_adds, n, c->channels);
}

/* Add to layer l the drive of the layer below, in the way that visits fewer rows. Waiting updates
 * have to be written either way. */
static void pass_changes(int32_t l)
{
    check_sum(spikes_sent[l - 1]);
    if (is_outside)
        return;
    NET_COUNT(forward, spikes_sent[l - 1], CONNECTIONS[l - 1].channels);
    NET_COUNT(met, n_spiking[l - 1], CONNECTIONS[l - 1].channels);
    rows_changed[l] += n_changed;
    /* A row could leave its type if it were written for the counts of now. */
    if (most_changed * most_waiting[l] > slack[l])
        write_waiting(l);
    if (n_changed > n_spiking[l - 1] || changes_sent > LARGEST_WEIGHT)
        start_over(l);
    else if (n_changed > 0)
        add_changes(l);
}

/* Layer l receives what has arrived, and fires. */
static void receive_changes(int32_t l)
{
    const net_state_t *from = arriving + UPPER(l);
    net_state_t *s = summed_drive + UPPER(l), magnitudes = 0;
    int32_t n = 0, i;
    n_changed = 0;
    if (l == LAYERS)
        send_nothing(l);
    for (i = 0; i < N_UNITS(l); i++) {
        net_state_t v = from[i], count = v > HALF ? crossings(v) : 0;
        s[i] = v;
        magnitudes |= magnitude(v);
        if (l < LAYERS)
            n = note_count(l, i, n, count);
        else if (count != 0 && !is_outside)
            send(l, i, count);
    }
    check(magnitudes, LARGEST_STATE);
    if (l < LAYERS) {
        sum_changes(l, n);
        return;
    }
    NET_COUNT(spikes, spikes_sent[l], 1);
    NET_COUNT(messages, n_spiking[l], 1);
}

/* Subtract the waiting updates from the errors that layer l sends to the layer below. */
static void subtract_waiting_back(int32_t l)
{
    const net_count_t *back = errors + UPPER(l), *kept = spike_count + FIRST_UNIT[l - 1];
    net_state_t sum = 0;
    int32_t i;
    if (most_waiting[l] == 0 || RANDOM_FEEDBACK || is_outside)
        return;
    for (i = 0; i < n_erring[l]; i++) {
        int32_t unit = erring[UPPER(l) + i];
        sum += back[unit] * waiting[UPPER(l) + unit];
    }
    for (i = 0; i < N_UNITS(l - 1); i++)
        arriving_back[i] -= kept[i] * sum;
    NET_COUNT(multiply_adds, n_erring[l], 1);
    NET_COUNT(multiply_adds, N_UNITS(l - 1), 1);
}

/* Make the step of a sample that is shown as a whole. */
static void step_as_a_whole(const void *x, enum input kind)
{
    int32_t l;
    steps_made++;
    fire_changes(x, kind);
    for (l = 1; l <= LAYERS && !is_outside; l++) {
        pass_changes(l);
        if (!is_outside)
            receive_changes(l);
    }
    if (!is_learning || is_outside)
        return;
    compare_output(target[0]);
    for (l = LAYERS - 1; l >= 1 && !is_outside; l--) {
        pass_back(l + 1);
        subtract_waiting_back(l + 1);
        if (!is_outside)
            receive_errors(l);
    }
}

/* The errors from which a sample learns. */
static net_count_t *errors_of_sample(void)
{
#if LEARNS_ONCE
    return summed_error;
#else
    return errors;
#endif
}

/* The sum of the counts of a layer, each times itself as it teaches; note the largest of them. */
static net_state_t squared_counts(int32_t l)
{
    net_state_t limit = count_limit();
    state_bits_t squares = 0;
    int32_t i;
    most_spikes[l] = 0;
    for (i = 0; i < n_met[l]; i++) {
        net_state_t count = spike_count[FIRST_UNIT[l] + met[FIRST_UNIT[l] + i]];
        squares += (state_bits_t)(magnitude(count) * lesser(magnitude(count), limit));
        if (magnitude(count) > most_spikes[l])
            most_spikes[l] = magnitude(count);
    }
    return (net_state_t)squares;
}

/* Find by how much any weight of connection l may change. */
static void measure(int32_t l)
{
    const struct connection *c = &CONNECTIONS[l - 1];
    const net_weight_t *first = weights + c->first_weight;
    net_state_t most = 0;
    int32_t i;
    write_waiting(l);
    for (i = 0; i < c->below_channels * c->channels; i++)
        if (magnitude(first[i]) > most)
            most = magnitude(first[i]);
    slack[l] = LARGEST_WEIGHT - most;
    until_measured[l] = SAMPLES_UNMEASURED;
}

/* Whether the update of connection l, which changes a weight by at most `most`, is to wait: if that
 * costs less, and no weight can reach its limit. Writing a weight of a row that is read anyway costs
 * half as much as writing one alone. */
static int is_to_wait(int32_t l, net_state_t most)
{
    const struct connection *c = &CONNECTIONS[l - 1];
    int64_t in_changed = rows_changed[l] * c->channels;
    int64_t in_taught = (int64_t)n_spiking[l - 1] * n_erring[l];
    usually_changed[l] += in_changed - usually_changed[l] / 16;
    usually_taught[l] += in_taught - usually_taught[l] / 16;
    rows_changed[l] = 0;
    until_measured[l] -= until_measured[l] > 0;
    if (usually_changed[l] > 2 * usually_taught[l])
        return 0;
    if (most > slack[l] && until_measured[l] == 0)
        measure(l);
    return most <= slack[l];
}

/* The drive that connection l keeps changes as its weights do; they follow later, if they wait. */
static void learn_kept(int32_t l, net_state_t squares, const net_count_t *back, int waits)
{
    int32_t i;
    for (i = 0; squares != 0 && i < n_erring[l]; i++) {
        int32_t at = UPPER(l) + erring[UPPER(l) + i];
        net_state_t taught = rate_of[l] * back[at];
        arriving[at] -= squares * taught;
        if (!waits)
            continue;
        waiting[at] += taught;
        if (magnitude(waiting[at]) > most_waiting[l])
            most_waiting[l] = magnitude(waiting[at]);
    }
    NET_COUNT(multiply_adds, n_erring[l], squares != 0);
}

/* Write what connection l learns to its rows, from counts as they teach; those kept stay. */
static void learn_rows(int32_t l, const net_count_t *back, net_state_t rate)
{
    net_count_t *counts = spike_count + FIRST_UNIT[l - 1];
    write_waiting(l);
    if (most_spikes[l - 1] > count_limit())
        cut_off(counts, N_UNITS(l - 1), count_limit());
    learn(l, spike_count, back, n_erring[l], rate);
    if (most_spikes[l - 1] > count_limit())
        memcpy(counts, spikes + FIRST_UNIT[l - 1], (size_t)N_UNITS(l - 1) * sizeof *counts);
}

/* All connections learn from a sample. Those whose rows do not wait come first: if one of their
 * weights leaves its type, nothing else has changed. */
static void learn_whole(void)
{
    net_count_t *back = errors_of_sample();
    int waits[LAYERS + 1];
    net_state_t most[LAYERS + 1], squares[LAYERS + 1];
    int32_t l;
    for (l = 1; l <= LAYERS; l++) {
        squares[l] = squared_counts(l - 1);
        most[l] = lesser(most_errors[l], error_limit(l));
        if (most_errors[l] > error_limit(l))
            cut_off(back + UPPER(l), N_UNITS(l), error_limit(l));
        find_rate(l);
        if (is_outside) /* there is no rate */
            return;
        check_changes(l, rate_of[l], most[l]);
    }
    if (is_outside)
        return;
    for (l = 1; l <= LAYERS; l++) {
        most[l] = most[l] * most_teaching(l) * rate_of[l];
        /* Rows wait for their counts as they are sent. */
        waits[l] = is_to_wait(l, most[l]) && most_spikes[l - 1] <= count_limit();
        if (!waits[l])
            learn_rows(l, back, rate_of[l]);
    }
    for (l = 1; l <= LAYERS && is_outside; l++)
        if (!waits[l])
            learn_rows(l, back, -rate_of[l]);
    for (l = 1; l <= LAYERS && !is_outside; l++) {
        learn_kept(l, squares[l], back, waits[l]);
        slack[l] = slack[l] > most[l] ? slack[l] - most[l] : 0;
        if (waits[l])
            NET_COUNT(update, n_spiking[l - 1], rate_of[l] != 0 ? n_erring[l] : 0);
    }
}

