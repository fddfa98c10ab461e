/* ---- Features ------------------------------------------------------------------------------- */

/* Readings of any size become input as the estimator scales them of which this program was made.
 *
 * A feature is dense, or sparse, which is mostly zero. A reading x of a dense one counts as
 *
 *     y = x * 2^(10 - exponent) - centre,
 *
 * an integer, cut at four deviations, of which each is 1 << 10. Sparse ones have no centre, and one
 * exponent in common, which follows the lengths of their rows. Sums of y and of its square give mean
 * and variance. Readings come in blocks of 16; the first 16 are a block each. At the end of each,
 * exponents, centres and kinds are corrected, and what has become another feature, in another unit
 * say, begins anew. */

#define DEVIATION 1024            /* as y */
#define CUT (4 * DEVIATION)       /* of dense features and lengths */
#define REPEATED 16               /* readings that count of a run of equal ones */
#define BEYOND ((int64_t)1 << 62) /* more than any reading or centre */

/* The length of rows of sparse features is read as a feature of its own. */
#define LENGTH (&features[NET_FEATURES])

/* What is taken back if a sample is undone. */
static struct feature features_before[NET_FEATURES + 1];
static struct progress progress_before;
static net_state_t scaled[NET_INPUTS];

static int64_t size_of(int64_t v)
{
    return v < 0 ? -v : v;
}

static int64_t clipped(int64_t v, int64_t most)
{
    return v > most ? most : v < -most ? -most : v;
}

/* How many bits the size of a number has. */
static int32_t bits_of(int64_t v)
{
    int32_t n = 0;
    for (v = size_of(v); v > 0; v >>= 1)
        n++;
    return n;
}

/* The largest integer whose square is at most v. */
static int64_t root_of(int64_t v)
{
    int64_t root = 0, bit;
    for (bit = (int64_t)1 << bits_of(v) / 2; bit > 0; bit >>= 1)
        root += (root + bit) * (root + bit) <= v ? bit : 0;
    return root;
}

/* v / n, rounded down. */
static int64_t rounded_down(int64_t v, int64_t n)
{
    return v >= 0 ? v / n : -((n - 1 - v) / n);
}

/* v / 2^by, rounded, and up from one half on; v * 2^-by if that is negative. */
static int64_t divided(int64_t v, int32_t by)
{
    int64_t one = (int64_t)1 << (by < 0 ? -by : by);
    return by < 0 ? v * one : rounded_down(v + one / 2, one);
}

/* x * 2^by, rounded, and one half to the nearest even number; at most BEYOND. */
static int64_t times_power(int64_t x, int32_t by)
{
    int64_t size = size_of(x), one = (int64_t)1 << (by > 0 || by < -62 ? 62 : -by);
    if (by >= 0)
        size = by < 62 && size >> (62 - by) == 0 ? size << by : size > 0 ? BEYOND : 0;
    else { /* an odd number that lies half above is one too large */
        size += one / 2;
        size = size / one - (size % one == 0 && size / one % 2 == 1);
    }
    return x < 0 ? -size : size;
}

/* y of a reading x * 2^at; 0 if the feature is not known. */
static int64_t y_of(const struct feature *f, int64_t x, int32_t at)
{
    return f->n == 0 ? 0 : clipped(times_power(x, 10 + at - f->exponent) - f->centre, CUT);
}

/* n^2 times the variance of y, or the mean square of lengths. */
static int64_t variance_of(const struct feature *f)
{
    return f->n * f->squares - (f == LENGTH ? 0 : (int64_t)f->total * f->total);
}

/* Make a feature known, of which half a difference is about the deviation. */
static void begin_feature(struct feature *f, int64_t difference, int64_t middle)
{
    f->exponent = bits_of(difference) - 1;
    f->centre = times_power(middle, 10 - f->exponent);
    f->n = 1;
    f->squares = DEVIATION * DEVIATION;
    f->met = 0;
}

/* An unknown feature begins with three readings that differ, of which one that is very far from both
 * others is wrong, or with two of which each has come again: then `met` is 7. */
static void meet_reading(struct feature *f, int64_t x)
{
    int64_t least = f->last < f->second ? f->last : f->second, below, above;
    int64_t most = f->last < f->second ? f->second : f->last, middle = f->last;
    if (f->met == 0 || f->repeated >= REPEATED) {
        f->met = x != f->last ? 1 : f->met;
        f->second = x != f->last ? (int32_t)x : f->second;
        return;
    }
    if (x == f->last || x == f->second) {
        f->met |= x == f->last ? 2 : 4;
        if (f->met != 7)
            return;
    } else
        middle = x < least ? least : x > most ? most : x;
    below = middle - (x < least ? x : least);
    above = (x > most ? x : most) - middle;
    if (below > above)
        begin_feature(f, above > 0 && above * 64 < below ? above : below, middle);
    else
        begin_feature(f, below > 0 && below * 64 < above ? below : above, middle);
}

/* Read x * 2^at; y is far from the square `far` on, and a difference is large from `large` on. */
static void read_feature(struct feature *f, int64_t x, int32_t at, int64_t far, int64_t large)
{
    int is_other = x != f->last || at != f->last_exponent;
    int64_t y, difference;
    if (f->n == 0)
        meet_reading(f, x);
    f->repeated = is_other ? 0 : f->repeated + (f->repeated < REPEATED);
    if (f->n == 0)
        return;
    y = y_of(f, x, at);
    if (is_other) {
        difference = size_of(y - y_of(f, f->last, f->last_exponent));
        f->n_changes++;
        f->n_large += difference >= large;
        f->small += difference >= large ? -16 : 1;
        f->changes += difference;
        f->last = (int32_t)x;
        f->last_exponent = at;
    }
    if (f->repeated < REPEATED) {
        f->n++;
        f->total += (int32_t)y;
        f->squares += y * y;
        f->far += y * y >= far ? 3 : -1;
    }
}

/* Move the centre to the mean, if that is off. */
static void correct_centre(struct feature *f)
{
    int64_t total = f->total, by;
    if (f == LENGTH || size_of(total) <= DEVIATION / 8 * f->n)
        return;
    by = rounded_down(2 * total + f->n, 2 * f->n);
    f->centre += by;
    f->squares += by * (by * f->n - 2 * total);
    f->total -= (int32_t)(by * f->n);
}

/* Change the unit of y, if the variance is far from that of a deviation. */
static void correct_exponent(struct feature *f)
{
    int64_t variance = variance_of(f), squared = (int64_t)f->n * f->n;
    int64_t of_one = squared * DEVIATION * DEVIATION;
    int32_t by, least = bits_of(f->centre) - 50;
    if (variance <= 0 || (variance <= 3 * of_one && 3 * variance >= of_one))
        return;
    by = bits_of(variance / squared) / 2 - 10;
    by = by < least ? least : by;
    f->exponent += by;
    f->centre = divided(f->centre, by);
    f->total = (int32_t)divided(f->total, by);
    f->squares = divided(f->squares, 2 * by);
    f->changes = divided(f->changes, by);
    correct_centre(f);
}

/* Correct what is known of a feature, or forget it: if more than a quarter of the last readings were
 * far, or if differences are small for longer than they ever would. */
static void correct_feature(struct feature *f)
{
    f->far = f->n < 64 || f->far < 0 ? 0 : f->far;
    f->small = f->small < 0 ? 0 : f->small;
    if (f->far >= 96
        || (f->small > 0 && (int64_t)f->small * f->n_large >= 32 * (int64_t)f->n_changes)) {
        f->centre = f->squares = f->changes = 0;
        f->exponent = f->n = f->total = f->n_changes = f->n_large = f->far = f->small = f->met = 0;
    }
    if (f->n >> 16 > 0) {
        f->n /= 2;
        f->total = (int32_t)rounded_down(f->total, 2);
        f->squares /= 2;
    }
    if (f->n_changes >> 16 > 0) {
        f->n_changes /= 2;
        f->n_large /= 2;
        f->changes /= 2;
    }
    correct_centre(f);
    correct_exponent(f);
}

/* Read the length of a row of sparse features, if some are not zero: an odd number times a power of
 * two, or 0, so that lengths are equal where both numbers are. */
static void read_length(const net_feature_t *row, int64_t far, int64_t large)
{
    int64_t largest = 0, squares = 0, y;
    int32_t at, i;
    for (i = 0; i < NET_FEATURES; i++)
        if (!features[i].is_dense && size_of(row[i]) > largest)
            largest = size_of(row[i]);
    if (largest == 0)
        return;
    if (LENGTH->n == 0)
        begin_feature(LENGTH, largest, 0);
    for (i = 0; i < NET_FEATURES; i++) {
        y = features[i].is_dense || row[i] == 0 ? 0 : y_of(LENGTH, row[i], 0);
        squares += y * y;
    }
    y = root_of(squares);
    for (at = y > 0 ? LENGTH->exponent - 10 : 0; y > 0 && y % 2 == 0; at++)
        y /= 2;
    read_feature(LENGTH, y, at, far, large);
}

/* Read a feature, or the length, in all rows of a block. */
static void read_block(struct feature *f)
{
    int64_t usual = f->n_changes < 32 ? 0 : f->changes / f->n_changes, far = 0, squared, i;
    squared = f->n > 0 ? (int64_t)f->n * f->n : 1;
    far = clipped(49 * (variance_of(f) / squared) / 4, CUT * CUT);
    for (i = 0; i < progress.n_waiting; i++)
        if (f == LENGTH)
            read_length(block[i], far < 1 ? 1 : far, usual >> 4);
        else
            read_feature(f, block[i][f - features], 0, far < 1 ? 1 : far, usual >> 4);
    if (f != LENGTH || f->n > 0)
        correct_feature(f);
}

/* In how many rows of the block a feature is not zero. */
static int32_t times_in_block(int32_t feature)
{
    int32_t n = 0, i;
    for (i = 0; i < progress.n_waiting; i++)
        n += block[i][feature] != 0;
    return n;
}

/* Return whether a feature is dense: more than a quarter of its readings, of those since the first that
 * was not zero and `doubt` more, are not; or a sixth, if it is dense now. Of long ago counts less. */
static int is_dense_from_now(struct feature *f, int64_t doubt)
{
    int64_t n = progress.n_scaled - f->since;
    int32_t by = bits_of(n >> 9);
    n >>= by;
    f->nonzero >>= by;
    f->since = progress.n_scaled - n;
    return f->is_dense ? 6 * (int64_t)f->nonzero >= n : 4 * ((int64_t)f->nonzero - 1) > n + doubt;
}

/* Find the kinds of features after a block. If any has changed, lengths are those of other rows. */
static void find_kinds(void)
{
    int64_t n_nonzero = 0, n_known = 0, doubt;
    int32_t has_changed = 0, n_sparse = 0, bits, i;
    for (i = 0; i < NET_FEATURES; i++) {
        int32_t times = times_in_block(i);
        n_nonzero += times;
        features[i].nonzero += times;
        if (features[i].since < 0 && times > 0)
            features[i].since = progress.n_scaled;
        n_known += features[i].since >= 0;
    }
    doubt = 2 * n_nonzero < n_known * progress.n_waiting ? 16 : 3;
    for (i = 0; i < NET_FEATURES; i++) {
        struct feature *f = &features[i];
        int may_change = f->is_dense || times_in_block(i) > 0;
        if (may_change && is_dense_from_now(f, doubt) != f->is_dense) {
            struct feature other = { .since = f->since, .nonzero = f->nonzero };
            other.is_dense = !f->is_dense;
            other.last = other.second = block[progress.n_waiting - 1][i];
            *f = other;
            has_changed = 1;
        }
        n_sparse += !f->is_dense;
    }
    if (has_changed) {
        memset(LENGTH, 0, sizeof *LENGTH);
        read_block(LENGTH);
    }
    if (progress.n_scaled >= BLOCK) {
        bits = 5 * bits_of(n_sparse) / 6 - 5;
        bits = bits < 0 ? 10 : bits > 6 ? 16 : 10 + bits;
        progress.sparse_bits = n_sparse == 0 || LENGTH->n == 0 ? 0 : bits;
    }
}

/* Scale the features of a sample. What was always zero is not known, but to the sample that has it. */
static void scale_features(const net_feature_t *x, int is_taught)
{
    int32_t bits = (int32_t)progress.sparse_bits, i;
    for (i = 0; i < NET_FEATURES; i++) {
        int64_t y = 0;
        if (features[i].is_dense)
            y = y_of(&features[i], x[i], 0);
        else if (x[i] != 0 && bits > 0 && (is_taught || features[i].since >= 0))
            y = clipped(times_power(x[i], bits - LENGTH->exponent), bits > 13 ? 1 << 14 : 2 << bits);
        scaled[i] = (net_state_t)(y * INPUT_OF_ONE);
    }
    for (; i < NET_INPUTS; i++)
        scaled[i] = CONSTANT_INPUT;
}

/* The error of a wrong class, as an integer of which the mean is taken. */
#define ERROR ((int64_t)1 << 20)

/* How often the rate is halved: once at each mark that the samples since its count began anew have
 * passed. */
static void find_halvings(void)
{
    static const int64_t MARKS[] = { /*@marks@*/ };
    size_t i;
    halvings = 0;
    for (i = 0; i < sizeof MARKS / sizeof *MARKS; i++)
        halvings += MARKS[i] <= progress.n_since;
}

/* Let the rate follow the error of a sample. Its count begins anew after a class that comes for the
 * first time, and when the mean error plus its standard error rises 2.5 standard errors above the
 * least mean. */
static void follow_error(int32_t label)
{
    struct progress *p = &progress;
    int64_t error = net_class() == label ? 0 : ERROR, mean, deviation;
    p->n_followed++;
    p->n_since++;
    p->n_errors++;
    p->total += error;
    p->squares += error * error;
    if (p->n_errors >= ERROR) {
        p->n_errors /= 2;
        p->total /= 2;
        p->squares /= 2;
    }
    if (p->n_errors >= 30) {
        mean = p->total / p->n_errors;
        deviation = p->squares / p->n_errors - mean * mean;
        deviation = deviation > 0 ? root_of(deviation / p->n_errors) : 0;
        if (mean + deviation < p->least) {
            p->least = mean + deviation;
            p->margin = deviation;
        }
        p->begins_anew |= 2 * (mean + deviation - p->least + p->margin) > 5 * p->margin;
    }
    p->begins_anew |= !p->has_come[label];
    p->has_come[label] = 1;
    if (p->n_followed % 8 == 0 && p->begins_anew) {
        p->n_since = p->n_errors = p->total = p->squares = p->begins_anew = 0;
        p->least = (int64_t)1 << 60;
    }
    find_halvings();
}

enum net_result net_predict_features(const net_feature_t *x)
{
    scale_features(x, 0);
    return show_sample(scaled, VALUES, NET_NO_LABEL);
}

enum net_result net_learn_features(const net_feature_t *x, int32_t label)
{
    enum net_result result;
    int ends_block = progress.n_scaled < BLOCK || progress.n_scaled % BLOCK == BLOCK - 1;
    if (is_unreadable || label < 0 || label >= NET_OUTPUTS)
        return is_unreadable ? NET_WRONG_STATE : NET_WRONG_LABEL;
    progress_before = progress;
    memcpy(block[progress.n_waiting++], x, sizeof *block);
    progress.n_scaled++;
    if (ends_block) {
        int32_t i;
        memcpy(features_before, features, sizeof features);
        for (i = 0; i < NET_FEATURES; i++)
            if (features[i].is_dense)
                read_block(&features[i]);
        read_block(LENGTH);
        find_kinds();
        progress.n_waiting = 0;
    }
    scale_features(x, 1);
    result = show_sample(scaled, VALUES, label);
    if (result == NET_OK)
        follow_error(label);
    else {
        progress = progress_before;
        if (ends_block)
            memcpy(features, features_before, sizeof features);
    }
    return result;
}

const char *net_name(int32_t class_number)
{
    static const char *const NAMES[NET_OUTPUTS] = { /*@names@*/ };
    return NAMES[class_number];
}

