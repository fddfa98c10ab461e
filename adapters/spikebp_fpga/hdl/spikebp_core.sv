// A network that learns by backpropagation of spikes: dense layers 0..L, immediate timing, graded
// spikes, and weights that learn in steps or once a sample. The symbols are those of the semantics.
//
// The core takes tokens, one a clock at most:
//   SPIKE  unit i of layer 0 sends `value` spikes in this step (k_0, of any sign, also more than once)
//   TARGET y_j is `value` units of the last place from now on
//   LABEL  y is y_right for unit j and y_wrong for all others from now on
//   STEP   the step ends: all rules are applied, those of learning if `value` is not 0
//   CLOSE  the sample ends: W learns if it learns once, and `refused` says whether all numbers fitted
//   DROP   the sample ends, and nothing of it is learned
// A sample in which a number does not fit is refused: weights and backward potentials become what they
// were before it, and its other tokens do nothing.
//
// Nothing is cleared at the start of a sample, and no pass goes through the inputs, so that clocks follow
// spikes: the units of the input that have spiked are a sparse set (`set_at` is where a unit stands in
// the list of those met, if that is a place in the list and the unit stands there).
//
// Lists, words of errors and counts of updates that have to be undone lie one behind the other, a region
// for each update; where weights learn once a sample there is one region.
module spikebp_core #(
    parameter LAYERS = 2,                   // records of layers 0..LAYERS, of which L is at most the last
    parameter LANE_BITS = 3,                // P = 2^LANE_BITS weights a clock
    parameter WEIGHT_BITS = 24,
    parameter COUNT_BITS = 12,              // of k, c, e, E and m
    parameter SUM_BITS = WEIGHT_BITS + 16,  // of s, phi, psi and y
    parameter LEFT_BITS = 21,               // of psi between samples: fraction bits, and a sign
    parameter DIVIDEND_BITS = 24,           // of R, and of the largest gain
    parameter NUMBER_BITS = 16,             // of units, places and lengths
    parameter UPDATES = 1,                  // updates that can be undone
    parameter INPUTS = 16, UNITS = 32,      // n_0, and n_0 + .. + n_(L-1)
    parameter LISTED = 32,                  // 16 + n_1 + .. + n_L
    parameter BANK_DEPTH = 64,              // P times the tiles of all connections
    parameter WORDS = 8, HIDDEN_WORDS = 4, OUTPUT_WORDS = 2,
    parameter IMAGE = "",
    parameter P = 1 << LANE_BITS, RATE_BITS = 17, SQUARE_BITS = 2 * COUNT_BITS + NUMBER_BITS,
    parameter RECORD_BITS = 7 * NUMBER_BITS + DIVIDEND_BITS + SQUARE_BITS + COUNT_BITS - 1
) (
    input  logic clk, rst,
    // the network: what differs between networks of the same sizes, constant where there is one
    input  logic [5:0] fraction_bits,
    input  logic [3:0] last_layer,               // L
    input  logic [NUMBER_BITS-1:0] most_updates,  // of a sample, at most UPDATES
    input  logic learns_once, divides_rate, limits_gain, zeroes_left,
    input  logic [COUNT_BITS-2:0] count_least, count_each, error_least, error_each,
    input  logic [DIVIDEND_BITS-1:0] gain_least, gain_each,
    input  logic signed [SUM_BITS-1:0] y_wrong, y_right,
    input  logic [(LAYERS+1)*RECORD_BITS-1:0] records,  // of layers 0..L
    // tokens
    input  logic token_valid,
    input  logic [2:0] token,
    input  logic [NUMBER_BITS-1:0] token_unit,
    input  logic signed [SUM_BITS-1:0] token_value,
    output logic token_ready,
    output logic rests,    // it waits for a token, and the host may read and write
    output logic refused,  // the last sample that was closed
    // memory: weights, or sums
    input  logic host_write,
    input  logic is_sums,  // and not weights
    input  logic [LANE_BITS:0] host_lane,
    input  logic [NUMBER_BITS-1:0] host_at,
    input  logic signed [SUM_BITS-1:0] host_in,
    output logic signed [SUM_BITS-1:0] host_out,  // five clocks after the address
    // what units send: spikes and, at the output and in the backward pass, errors
    output logic sends, sends_back,
    output logic [3:0] sending_layer,
    output logic [NUMBER_BITS-1:0] sending_unit,
    output logic signed [COUNT_BITS-1:0] sent_spikes, sent_error,
    output logic [3:0] state
);
    localparam [2:0] SPIKE = 0, TARGET = 1, LABEL = 2, STEP = 3, CLOSE = 4, DROP = 5;
    localparam [3:0] INPUT = 0, TARGETS = 1, SPIKES = 2, FORWARD = 3, BACKWARD = 4, ERRORS = 5,
        SQUARES = 6, RATE = 7, UPDATE = 8, KEEP = 9, UNDO = 10,
        NEXT_STEP = 11, REFUSE = 12, FINISH = 13;  // of INPUT
    localparam ENTRY_BITS = NUMBER_BITS + COUNT_BITS;
    // So much is sent on at most, of which SUM_BITS hold the sum with any weights.
    localparam SENT_BITS = SUM_BITS - WEIGHT_BITS - 2;
    typedef logic [NUMBER_BITS-1:0] number;

    // ---- the pass, and its layer: valid from its second clock on --------------------------------------
    logic [3:0] l;
    logic go;
    logic [RECORD_BITS-1:0] record, record_below, layer, below;
    number outputs;
    always_comb begin
        record = 0; record_below = 0; outputs = 0;
        for (int i = 0; i <= LAYERS; i = i + 1) begin
            if (l == 4'(i)) record = records[i*RECORD_BITS +: RECORD_BITS];
            if (l == 4'(i + 1)) record_below = records[i*RECORD_BITS +: RECORD_BITS];
            if (last_layer == 4'(i)) outputs = records[i*RECORD_BITS +: NUMBER_BITS];
        end
    end
    number units, words, tiles_at, drive_at, psi_at, list_at, met_at;
    number words_below, psi_below, list_below, met_below;
    logic [DIVIDEND_BITS-1:0] given_rate;
    logic [SQUARE_BITS-1:0] added;
    logic [COUNT_BITS-2:0] hidden_error_limit;
    assign {hidden_error_limit, added, given_rate, met_at, list_at, psi_at, drive_at, tiles_at, words, units}
        = layer;
    assign {met_below, list_below, psi_below} = below[4*NUMBER_BITS +: 3*NUMBER_BITS];
    assign words_below = below[NUMBER_BITS +: NUMBER_BITS];
    wire number inputs = records[NUMBER_BITS-1:0];
    wire is_last = l == last_layer;
    logic is_input, is_target, is_spikes, is_backward, is_error, squares, updates, undoes, is_keep, is_output;
    logic is_taught, learns_now;
    always_ff @(posedge clk) begin
        layer <= record; below <= record_below; is_output <= is_last;
        is_input <= state == INPUT; is_target <= state == TARGETS; is_spikes <= state == SPIKES;
        is_backward <= state == BACKWARD; is_error <= state == ERRORS; squares <= state == SQUARES;
        updates <= state == UPDATE || state == UNDO; undoes <= state == UNDO; is_keep <= state == KEEP;
        learns_now <= is_taught && (state == ERRORS || (state == SPIKES && is_last));
    end

    // ---- the sample ----------------------------------------------------------------------------------
    logic is_open, in_step, in_open, closes, drops;  // its step, and what ends them
    logic has_learned, is_first_step, is_first_target;
    logic is_bad, is_refused;  // a number did not fit; the rest of the sample does nothing
    logic is_full;             // there is no region for one more update
    logic [LAYERS:0] drive_is_fresh;  // nothing was added to it in this sample
    logic is_fresh;                   // nor to what this pass reads
    number lengths_at, met_region, words_region;  // where the region of this update begins
    logic products_busy, products_run, in_use, has_no_entry, quantizers_busy, rates_busy;
    number entry, word;  // that the products ask for

    // ---- tokens ------------------------------------------------------------------------------------
    logic labels;  // y_j of one output after the other becomes that of a label
    number label, labelled;
    logic [4:0] spikes_in;  // the list of the input is a ring of 16 spikes
    logic a_valid, b_valid, c_valid, unit_waits;
    wire settled = spikes_in == entry[4:0] && !a_valid && !b_valid && !c_valid && !in_use;
    wire waits = is_input && products_run && in_open && !labels;
    wire is_spike = token == SPIKE;
    logic has_room;  // a clock late, so it leaves places free
    assign token_ready = waits && !(is_spike && (!has_room || unit_waits));
    wire takes = token_valid && token_ready;
    wire acts = takes && !is_refused && !is_full;
    wire takes_spike = acts && is_spike;
    wire is_known = is_spike ? token_unit < inputs
        : token == TARGET || token == LABEL ? token_unit < outputs : 1'b1;
    wire fits_count = token_value == SUM_BITS'($signed(token_value[COUNT_BITS-2:0]));

    // ---- the sparse set of inputs that have spiked, with their counts ---------------------------------
    // a: where the unit might stand; b: whether it stands there, and with which count; c: written.
    number a_unit, b_unit, c_unit, set_at, b_at, c_at, n_inputs_met;
    logic signed [COUNT_BITS-1:0] a_number, b_number, c_number, c_count;
    logic b_is_place, c_stands;
    logic [ENTRY_BITS-1:0] met;
    wire b_stands = b_is_place && met[COUNT_BITS +: NUMBER_BITS] == b_unit;
    wire signed [COUNT_BITS:0] c_sum = c_count + c_number;
    wire number c_place = c_stands ? c_at : n_inputs_met;
    // A unit that is on its way has no place yet.
    assign unit_waits = (a_valid && a_unit == token_unit) || (b_valid && b_unit == token_unit)
        || (c_valid && c_unit == token_unit);
    spikebp_memory #(.WIDTH(NUMBER_BITS), .DEPTH(INPUTS), .NUMBER_BITS(NUMBER_BITS)) places (.clk,
        .write(c_valid), .write_at(c_unit), .word_in(c_place), .read(1'b1), .read_at(token_unit),
        .word_out(set_at));
    always_ff @(posedge clk) begin
        a_valid <= !rst && takes_spike && is_known; a_unit <= token_unit;
        a_number <= token_value[COUNT_BITS-1:0];
        b_valid <= !rst && a_valid; b_unit <= a_unit; b_number <= a_number; b_at <= set_at;
        // A place that is being written is that of another unit.
        b_is_place <= set_at < n_inputs_met && !(c_valid && set_at == c_place);
        c_valid <= !rst && b_valid; c_unit <= b_unit; c_number <= b_number; c_at <= b_at;
        c_stands <= b_stands; c_count <= b_stands ? met[COUNT_BITS-1:0] : '0;
    end

    // ---- lists: what is sent on, units met with their counts, words of errors, and lengths -------------
    logic lists, lists_word;
    number listed_unit, listed_word, error_word, n_listed, n_sent, n_met, n_words, met_length, word_length;
    logic signed [COUNT_BITS-1:0] spikes, listed_count;
    logic [ENTRY_BITS-1:0] listed;
    wire signed [COUNT_BITS-1:0] sent_on = is_output ? listed_count : spikes;
    wire sends_on = lists && sent_on != 0;
    wire meets = lists && is_spikes && !is_output && listed_count != 0;
    number list_from, met_from, met_to, words_from, kept, kept_at;  // valid from the third clock on
    logic keeps_now, keeps;  // after an update, the inputs met are kept for the next region
    always_ff @(posedge clk) begin
        list_from <= is_backward ? list_at : list_below;
        met_from <= is_input ? met_region : is_keep ? met_region - number'(UNITS) : met_region + met_below;
        met_to <= met_region + met_at;
        words_from <= words_region + drive_at;
        keeps_now <= is_keep; keeps <= keeps_now && kept != n_inputs_met; kept_at <= kept;
        kept <= !keeps_now ? '0 : kept == n_inputs_met ? kept : kept + 1'b1;
    end
    spikebp_memory #(.WIDTH(ENTRY_BITS), .DEPTH(LISTED), .NUMBER_BITS(NUMBER_BITS)) list (.clk,
        .write(takes_spike || sends_on),
        .write_at(takes_spike ? number'(spikes_in[3:0]) : list_at + n_sent),
        .word_in(takes_spike ? {token_unit, token_value[COUNT_BITS-1:0]} : {listed_unit, sent_on}),
        .read(1'b1), .read_at(is_input ? number'(entry[3:0]) : list_from + entry), .word_out(listed));
    spikebp_memory #(.WIDTH(ENTRY_BITS), .DEPTH(UPDATES*UNITS), .NUMBER_BITS(NUMBER_BITS)) met_units (.clk,
        .write(c_valid || meets || keeps),
        .write_at(c_valid ? met_region + c_place : keeps ? met_region + kept_at : met_to + n_met),
        .word_in(c_valid ? {c_unit, c_sum[COUNT_BITS-1:0]} : keeps ? met : {listed_unit, listed_count}),
        .read(1'b1), .read_at(met_from + (is_input ? set_at : is_keep ? kept : entry)), .word_out(met));
    spikebp_memory #(.WIDTH(NUMBER_BITS), .DEPTH(UPDATES*WORDS), .NUMBER_BITS(NUMBER_BITS)) error_words (.clk,
        .write(lists_word), .write_at(words_from + n_words), .word_in(listed_word),
        .read(1'b1), .read_at(words_from + word), .word_out(error_word));
    wire quantizes = state == TARGETS || state == SPIKES || state == ERRORS;
    wire quantized = quantizes && !quantizers_busy;
    wire number of_layer = lengths_at + number'(l);
    localparam LENGTHS = UPDATES * (LAYERS + 1);
    spikebp_memory #(.WIDTH(NUMBER_BITS), .DEPTH(LENGTHS), .NUMBER_BITS(NUMBER_BITS)) met_lengths (.clk,
        .write((is_input && state == INPUT) || (quantized && is_spikes && !is_output)),
        .write_at(is_input ? lengths_at : of_layer), .word_in(is_input ? n_inputs_met : n_met),
        .read(1'b1), .read_at(of_layer - 1'b1), .word_out(met_length));
    spikebp_memory #(.WIDTH(NUMBER_BITS), .DEPTH(LENGTHS), .NUMBER_BITS(NUMBER_BITS)) word_lengths (.clk,
        .write(quantized && learns_now), .write_at(of_layer), .word_in(n_words),
        .read(1'b1), .read_at(of_layer), .word_out(word_length));

    // ---- rates -------------------------------------------------------------------------------------
    logic [RATE_BITS-1:0] rate, rate_logged;
    logic [COUNT_BITS-2:0] count_limit, output_error_limit;
    logic has_count;
    logic signed [COUNT_BITS-1:0] cut_count;
    spikebp_rates #(.COUNT_BITS(COUNT_BITS), .RATE_BITS(RATE_BITS), .SQUARE_BITS(SQUARE_BITS),
        .DIVIDEND_BITS(DIVIDEND_BITS)) rates (.clk, .rst, .opens(!is_open), .steps(acts && token == STEP),
        .count_least, .count_each, .error_least, .error_each, .gain_least, .gain_each,
        .count_limit, .output_error_limit, .clears(state == SQUARES && go), .adds(has_count),
        .count(cut_count), .go(state == RATE && go), .divides_rate, .limits_gain, .given_rate, .added,
        .busy(rates_busy), .rate);
    spikebp_memory #(.WIDTH(RATE_BITS), .DEPTH(LENGTHS), .NUMBER_BITS(NUMBER_BITS)) logged_rates (.clk,
        .write(state == UPDATE && go), .write_at(of_layer), .word_in(rate),
        .read(1'b1), .read_at(of_layer), .word_out(rate_logged));

    // ---- products and quantizers -------------------------------------------------------------------
    // psi is kept twice: the first pass of a sample that changes it reads one copy and writes the other,
    // so that the copy of before is there for a sample that is refused.
    logic psi_is_second;  // a reset does not change where psi is
    initial psi_is_second = 0;
    localparam number TARGET_SUMS = number'(WORDS + 2 * HIDDEN_WORDS);
    localparam number COPY = number'(HIDDEN_WORDS);
    wire number psi_from = is_first_target == psi_is_second ? COPY : '0;
    wire number psi_to = psi_is_second ? '0 : COPY;
    logic products_overflow, quantizers_overflow, sum_read, sum_write;
    number sum_read_at, sum_write_at, errors_of;
    logic [P*SUM_BITS-1:0] sums, sums_in;
    logic [P*LEFT_BITS-1:0] left;
    logic [P*COUNT_BITS-1:0] errors;
    logic [P*WEIGHT_BITS-1:0] weights;
    logic [COUNT_BITS-1:0] magnitude;
    logic target_write;
    number target_unit;
    logic signed [SUM_BITS-1:0] target;
    logic [P-1:0] host_lanes, weight_write, host_sum_write;
    number host_place;
    logic signed [SUM_BITS-1:0] host_number;
    always_ff @(posedge clk) begin
        has_room <= spikes_in - entry[4:0] < 5'd14;
        target_write <= labels || (acts && is_known && token == TARGET);
        target_unit <= labels ? labelled : token_unit;
        target <= !labels ? token_value : labelled == label ? y_right : y_wrong;
        host_lanes <= P'(1) << host_lane; host_number <= host_in;
        host_place <= psi_is_second && is_sums && host_at >= number'(WORDS) ? host_at + COPY : host_at;
        weight_write <= host_write && rests && !is_sums ? P'(1) << host_lane : '0;
        host_sum_write <= host_write && rests && is_sums ? P'(1) << host_lane : '0;
    end
    genvar n;
    generate for (n = 0; n < P; n = n + 1) begin : sum_of_lane
        assign sums_in[n*SUM_BITS +: SUM_BITS] = is_input ? host_number
            : SUM_BITS'($signed(left[n*LEFT_BITS +: LEFT_BITS]));
    end endgenerate
    spikebp_products #(.LANE_BITS(LANE_BITS), .WEIGHT_BITS(WEIGHT_BITS), .COUNT_BITS(COUNT_BITS),
        .RATE_BITS(RATE_BITS), .SUM_BITS(SUM_BITS), .NUMBER_BITS(NUMBER_BITS), .BANK_DEPTH(BANK_DEPTH),
        .SUM_DEPTH(WORDS + 2 * HIDDEN_WORDS + OUTPUT_WORDS), .IMAGE(IMAGE)) products (.clk, .rst,
        .go(go && !quantizes && state != RATE && state != KEEP),
        .streams(is_input), .still_come(is_input && in_open), .is_backward, .updates, .undoes, .squares,
        .entries(is_input ? number'(spikes_in) : updates || squares ? met_length : n_listed),
        .words(squares ? number'(1) : updates ? word_length : is_backward ? words_below : words),
        .row_words(words), .tiles_at, .sums_from(is_backward ? psi_below + psi_from : drive_at),
        .sums_to(is_backward ? psi_below + psi_to : drive_at), .is_fresh,
        .count_limit, .error_limit(is_output ? output_error_limit : hidden_error_limit),
        .rate(undoes ? rate_logged : rate), .busy(products_busy), .runs(products_run), .in_use,
        .has_no_entry, .overflow(products_overflow), .entry, .word,
        .listed(updates || squares ? met : listed), .error_word, .errors_of, .errors,
        .has_count, .cut_count, .weight_write, .host_place, .weight_in(host_number[WEIGHT_BITS-1:0]), .weights,
        .sum_write(is_input ? host_sum_write : {P{sum_write}}),
        .sum_write_at(is_input ? host_place : sum_write_at),
        .sum_read(is_input || sum_read), .sum_read_at(is_input ? host_place : sum_read_at), .sums_in, .sums);
    spikebp_quantizers #(.LANE_BITS(LANE_BITS), .COUNT_BITS(COUNT_BITS), .SUM_BITS(SUM_BITS),
        .LEFT_BITS(LEFT_BITS), .NUMBER_BITS(NUMBER_BITS), .WORD_DEPTH(WORDS), .LOG_DEPTH(UPDATES*WORDS),
        .OUTPUT_DEPTH(OUTPUT_WORDS)) quantizers (.clk, .rst, .fraction_bits, .go(go && quantizes),
        .is_target, .is_error, .is_output, .learns(learns_now),
        .is_fresh(is_target ? is_first_target : is_fresh), .counts_afresh(is_first_step),
        .errors_afresh(is_first_target || !learns_once), .units, .words, .words_at(drive_at),
        .sums_from(is_target ? TARGET_SUMS : is_error ? psi_at + (has_no_entry ? psi_from : psi_to) : drive_at),
        .sums_to(is_target ? TARGET_SUMS : is_error ? psi_at + psi_to : drive_at), .log_at(words_from),
        .busy(quantizers_busy), .overflow(quantizers_overflow), .sum_read, .sum_read_at, .sums, .sum_write,
        .sum_write_at, .left, .target_write, .target_unit, .target,
        .errors_of, .errors, .lists_word, .listed_word, .lists, .listed_unit, .spikes, .listed_count,
        .magnitude);

    // ---- the host, and who looks on ------------------------------------------------------------------
    logic [SUM_BITS-1:0] sum_read_out;
    logic signed [WEIGHT_BITS-1:0] weight_read_out;
    always_comb begin
        sum_read_out = 0; weight_read_out = 0;
        for (int i = 0; i < P; i = i + 1) begin
            sum_read_out = sum_read_out | (host_lanes[i] ? sums[i*SUM_BITS +: SUM_BITS] : '0);
            weight_read_out = weight_read_out
                | (host_lanes[i] ? weights[i*WEIGHT_BITS +: WEIGHT_BITS] : '0);
        end
    end
    always_ff @(posedge clk) host_out <= is_sums ? sum_read_out : SUM_BITS'(weight_read_out);
    assign sends = lists && is_spikes && spikes != 0;
    assign sends_back = sends_on && learns_now;
    assign sending_layer = l;
    assign sending_unit = listed_unit;
    assign sent_spikes = spikes;
    assign sent_error = sent_on;

    // ---- the order of things -------------------------------------------------------------------------
    logic [SENT_BITS:0] sent;  // of what is listed now, or comes in
    wire [COUNT_BITS-1:0] comes =
        token_value[COUNT_BITS-1] ? -token_value[COUNT_BITS-1:0] : token_value[COUNT_BITS-1:0];
    // A sample that has no room for one more update is over, too.
    wire exceeds = takes && is_full && !is_refused && (is_spike || token == STEP);
    wire goes_wrong = quantizers_overflow || (products_overflow && state != UNDO) || sent[SENT_BITS]
        || (c_valid && c_sum[COUNT_BITS] != c_sum[COUNT_BITS-1])
        || (acts && !(is_known && (fits_count || !is_spike))) || (takes && token == CLOSE && in_step) || exceeds;
    // A clock before the next pass: by then `is_bad` knows of all that went wrong in this one.
    logic is_done;
    always_ff @(posedge clk) is_done <= !rst && !go && !is_done && (
        state == INPUT ? !in_open && settled && !products_busy
        : quantizes ? !quantizers_busy
        : state == RATE ? !rates_busy
        : state == KEEP ? keeps_now && kept == n_inputs_met && !keeps : !products_busy);
    wire ends = closes || drops;
    number logged;  // updates of this sample
    wire [3:0] learning = divides_rate || limits_gain ? SQUARES : RATE;
    wire [3:0] refusing = ends ? FINISH : REFUSE;
    wire [3:0] undoing = logged != 0 || state == UPDATE ? UNDO : refusing;
    logic [3:0] next;
    always_comb case (state)
        INPUT: next = ends && (is_refused || !is_open) ? FINISH
            : drops || (is_full && !ends) || (ends && is_bad) ? undoing
            : ends ? (has_learned && learns_once ? learning : FINISH)
            : last_layer == 1 && is_taught ? TARGETS : SPIKES;
        TARGETS: next = SPIKES;
        SPIKES: next = !is_last ? FORWARD : is_taught && last_layer != 1 ? BACKWARD
            : is_bad ? undoing : is_taught && !learns_once ? learning : NEXT_STEP;
        FORWARD: next = is_last && is_taught ? TARGETS : SPIKES;
        BACKWARD: next = ERRORS;
        ERRORS: next = l != 1 ? BACKWARD : is_bad ? undoing : learns_once ? NEXT_STEP : learning;
        SQUARES: next = RATE;
        RATE: next = UPDATE;
        UPDATE: next = !is_last ? learning : is_bad ? undoing : learns_once ? FINISH
            : logged + 1'b1 == most_updates ? NEXT_STEP : KEEP;
        UNDO: next = is_last && logged == 1 ? refusing : UNDO;
        default: next = NEXT_STEP;
    endcase
    wire goes_up = next == FORWARD || (state == UPDATE && next == learning) || (state == UNDO && !is_last);
    wire stays = next == BACKWARD || next == TARGETS || next == SPIKES || next == UPDATE || state == SQUARES;
    // The region before: that of now is empty, unless it is the last one or was just learned from.
    wire goes_back = next == UNDO && (state == UNDO ? is_last : state != UPDATE && !is_full);
    wire begins = is_done && next == FINISH;
    always_ff @(posedge clk) begin
        go <= is_done;
        rests <= waits && settled && !takes;
        if (goes_wrong) is_bad <= 1;
        if (go && quantizes) begin n_sent <= 0; n_met <= 0; n_words <= 0; sent <= 0; end
        if (sends_on) begin n_sent <= n_sent + 1'b1; sent <= sent + (SENT_BITS+1)'(magnitude); end
        if (meets) n_met <= n_met + 1'b1;
        if (lists_word) n_words <= n_words + 1'b1;
        if (takes_spike) begin
            spikes_in <= spikes_in + 1'b1; sent <= sent + (SENT_BITS+1)'(comes); in_step <= 1;
        end
        if (c_valid && !c_stands) n_inputs_met <= n_inputs_met + 1'b1;
        if (labels) begin labelled <= labelled + 1'b1; labels <= labelled + 1'b1 != outputs; end
        if (acts && token == LABEL) begin labels <= 1; labelled <= 0; label <= token_unit; end
        if (acts && token == STEP) begin
            in_open <= 0; in_step <= 0; is_taught <= token_value != 0;
            is_first_target <= !has_learned; has_learned <= has_learned || token_value != 0;
        end
        if (takes) begin
            is_open <= 1; closes <= token == CLOSE; drops <= token == DROP;
            if (token == CLOSE || token == DROP || exceeds) in_open <= 0;
        end
        if (is_done) begin
            state <= next >= NEXT_STEP ? INPUT : next;
            l <= goes_up ? l + 1'b1 : next == ERRORS ? l - 1'b1 : stays ? l : 4'd1;
            n_listed <= n_sent;
            is_fresh <= next == FORWARD ? drive_is_fresh[l + 1]
                : next == BACKWARD ? zeroes_left && is_first_target
                : next == NEXT_STEP ? drive_is_fresh[1] : is_fresh && (state == TARGETS || has_no_entry);
            for (int i = 1; i <= LAYERS; i = i + 1)
                if (l == 4'(i) && (state == INPUT || state == FORWARD) && !has_no_entry) drive_is_fresh[i] <= 0;
            if (state == UPDATE && is_last) begin logged <= logged + 1'b1; is_full <= next == NEXT_STEP; end
            if (state == UNDO && is_last) logged <= logged - 1'b1;
            if (next == KEEP) begin
                lengths_at <= lengths_at + number'(LAYERS + 1);
                met_region <= met_region + number'(UNITS); words_region <= words_region + number'(WORDS);
            end
            if (goes_back) begin
                lengths_at <= lengths_at - number'(LAYERS + 1);
                met_region <= met_region - number'(UNITS); words_region <= words_region - number'(WORDS);
            end
            if (next == NEXT_STEP || next == REFUSE) begin
                in_open <= 1; spikes_in <= 0; sent <= 0; is_first_step <= 0; is_refused <= next == REFUSE;
            end
        end
        if (begins) begin
            refused <= is_bad || drops;
            psi_is_second <= psi_is_second ^ (has_learned && !is_bad && !drops);
        end
        if (rst || begins) begin
            is_open <= 0; in_step <= 0; in_open <= 1; closes <= 0; drops <= 0; labels <= 0; spikes_in <= 0;
            has_learned <= 0; is_first_step <= 1; is_bad <= 0; is_refused <= 0; is_full <= 0; sent <= 0;
            drive_is_fresh <= '1; is_fresh <= 1; n_inputs_met <= 0; logged <= 0;
            lengths_at <= 0; met_region <= 0; words_region <= 0;
        end
        if (rst) begin state <= INPUT; l <= 1; go <= 1; refused <= 0; rests <= 0; end
    end
endmodule
