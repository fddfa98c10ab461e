// A network that learns by backpropagation of spikes: dense layers 0..L, immediate timing, graded
// spikes, and weights that learn in steps or once a sample. The symbols are those of the semantics.
//
// The core takes tokens, one a clock at most:
//   SPIKE  unit i of layer 0 sends `value` spikes in this step (k_0, of any sign, more than once if need be)
//   TARGET y_j is `value` units of the last place from now on
//   LABEL  y is y_right for unit j and y_wrong for all others from now on
//   STEP   the step ends: all rules are applied, those of learning if `value` is not 0
//   CLOSE  the sample ends: W learns if it learns once, and `refused` says whether it fitted
//   DROP   the sample ends, and nothing of it is learned
// A sample in which a number does not fit is refused: weights and backward potentials become what they
// were before it, and its other tokens do nothing.
//
// Nothing is cleared at the start of a sample, and no pass goes through the inputs, so that clocks follow
// spikes: the units of the input that have spiked are a sparse set (`set_at[i]` is where unit i stands
// in the list of those met, if that is a place in the list and unit i stands there).
//
// Lists, words of errors and counts of updates that have to be undone lie one behind the other, a region
// for each update; where weights learn once a sample there is one region.
module spikebp_core #(
    parameter LAYERS = 2,                    // L
    parameter LANE_BITS = 3,                 // P = 2^LANE_BITS weights a clock
    parameter WEIGHT_BITS = 24,
    parameter COUNT_BITS = 12,               // of k, c, e, E and m
    parameter SUM_BITS = WEIGHT_BITS + 16,   // of s, phi, psi and y
    parameter LEFT_BITS = 21,                // of psi between samples: fraction bits, and a sign
    parameter DIVIDEND_BITS = 24,            // of R, and of the largest gain
    parameter NUMBER_BITS = 16,              // of what the records say
    parameter UPDATES = 1,                   // updates that can be undone
    parameter INPUTS = 16, UNITS = 32,       // n_0, and n_0 + .. + n_(L-1)
    parameter LISTED = 32,                   // 16 + n_1 + .. + n_L
    parameter BANK_DEPTH = 64,               // P times the tiles of all connections
    parameter WORDS = 8, HIDDEN_WORDS = 4, OUTPUT_WORDS = 2,
    parameter IMAGE = "",
    parameter P = 1 << LANE_BITS,
    parameter RATE_BITS = 17,
    parameter INDEX_BITS = $clog2(UNITS + LISTED),
    parameter SQUARE_BITS = 2 * COUNT_BITS + INDEX_BITS,
    parameter SUM_DEPTH = WORDS + HIDDEN_WORDS + OUTPUT_WORDS,
    parameter HOST_BITS = $clog2(BANK_DEPTH + SUM_DEPTH),
    parameter RECORD_BITS = 7 * NUMBER_BITS + DIVIDEND_BITS + SQUARE_BITS + COUNT_BITS - 1
) (
    input  logic clk, rst,
    // the network: what differs between networks of the same sizes, constant where there is one
    input  logic [5:0] fraction_bits,
    input  logic learns_once, divides_rate, limits_gain, zeroes_left,
    input  logic [COUNT_BITS-2:0] count_least, count_each, error_least, error_each,
    input  logic [DIVIDEND_BITS-1:0] gain_least, gain_each,
    input  logic signed [SUM_BITS-1:0] y_wrong, y_right,
    input  logic [(LAYERS+1)*RECORD_BITS-1:0] records,  // of layers 0..L
    // tokens
    input  logic token_valid,
    input  logic [2:0] token,
    input  logic [INDEX_BITS-1:0] token_unit,
    input  logic signed [SUM_BITS-1:0] token_value,
    output logic token_ready,
    output logic rests,    // it waits for a token, and the host may read and write
    output logic refused,  // the last sample that was closed
    // memory: weights, sums, or what is left of psi for the case of a refusal
    input  logic host_write,
    input  logic [1:0] host_memory,
    input  logic [LANE_BITS:0] host_lane,
    input  logic [HOST_BITS-1:0] host_at,
    input  logic signed [SUM_BITS-1:0] host_in,
    output logic signed [SUM_BITS-1:0] host_out,  // some clocks after the address
    // what units send: spikes and, at the output and in the backward pass, errors
    output logic sends, sends_back,
    output logic [3:0] sending_layer,
    output logic [INDEX_BITS-1:0] sending_unit,
    output logic signed [COUNT_BITS-1:0] sent_spikes, sent_error,
    output logic [3:0] doing
);
    localparam [2:0] SPIKE = 0, TARGET = 1, LABEL = 2, STEP = 3, CLOSE = 4, DROP = 5;
    localparam [1:0] WEIGHTS = 0, SUMS = 1, LEFT = 2;
    localparam [3:0] INPUT = 0, TARGETS = 1, SPIKES = 2, FORWARD = 3, BACKWARD = 4, ERRORS = 5,
        SQUARES = 6, RATE = 7, UPDATE = 8, KEEP = 9, UNDO = 10, RESTORE = 11,
        NEXT_STEP = 12, FINISH = 13;  // of INPUT
    localparam ENTRY_BITS = INDEX_BITS + COUNT_BITS;
    localparam BANK_BITS = $clog2(BANK_DEPTH), LIST_BITS = $clog2(LISTED), MET_BITS = $clog2(UPDATES * UNITS),
        SUM_ADDRESS = $clog2(SUM_DEPTH), LOG_BITS = $clog2(UPDATES * WORDS + 1),
        LENGTH_BITS = $clog2(UPDATES * (LAYERS + 1)), LEFT_ADDRESS = $clog2(2 * HIDDEN_WORDS + 1);
    // So much is sent on at most, of which SUM_BITS hold the sum with any weights.
    localparam SENT_BITS = SUM_BITS - WEIGHT_BITS - 2;

    // ---- what is done, and on which layer ------------------------------------------------------------
    logic [3:0] state, l;
    logic go;
    logic [RECORD_BITS-1:0] record, record_below, layer, below;
    always_comb begin
        record = 0; record_below = 0;
        for (int i = 0; i <= LAYERS; i = i + 1) begin
            if (l == 4'(i)) record = records[i*RECORD_BITS +: RECORD_BITS];
            if (l == 4'(i + 1)) record_below = records[i*RECORD_BITS +: RECORD_BITS];
        end
    end
    function automatic [NUMBER_BITS-1:0] number_of(input [RECORD_BITS-1:0] of, input integer i);
        number_of = of[i*NUMBER_BITS +: NUMBER_BITS];
    endfunction
    // Valid from the second clock of a pass.
    always_ff @(posedge clk) begin layer <= record; below <= record_below; end
    wire [NUMBER_BITS-1:0] units = number_of(layer, 0), words = number_of(layer, 1);
    wire [NUMBER_BITS-1:0] tiles_at = number_of(layer, 2), drive_at = number_of(layer, 3);
    wire [NUMBER_BITS-1:0] left_at = number_of(layer, 4), list_at = number_of(layer, 5);
    wire [NUMBER_BITS-1:0] met_at = number_of(layer, 6), met_below_at = number_of(below, 6);
    wire [DIVIDEND_BITS-1:0] given_rate = layer[7*NUMBER_BITS +: DIVIDEND_BITS];
    wire [SQUARE_BITS-1:0] added = layer[7*NUMBER_BITS+DIVIDEND_BITS +: SQUARE_BITS];
    wire [COUNT_BITS-2:0] hidden_error_limit = layer[RECORD_BITS-1 -: COUNT_BITS-1];
    wire [NUMBER_BITS-1:0] inputs = records[NUMBER_BITS-1:0];

    logic is_open, in_step, in_open, closes, drops;  // the sample, its step, and what ends them
    logic is_taught, has_learned;  // this step, and any step of the sample
    logic is_first_step, is_first_target;
    logic is_bad, is_refused;  // a number did not fit; the rest of the sample does nothing
    logic is_full;             // there is no region for one more update
    logic [LAYERS:0] drive_is_fresh;  // nothing was added to it in this sample
    logic is_fresh;                   // nor to what this pass reads
    wire is_last = l == 4'(LAYERS);
    // What this pass is: valid from its second clock on, as what is said of its layer.
    logic is_output, learns_now, is_backward, is_error, is_target, is_spikes, updates, undoes, squares;
    logic is_input, is_keep;
    always_ff @(posedge clk) begin
        is_output <= is_last;
        learns_now <= is_taught && (state == ERRORS || (state == SPIKES && is_last));
        is_backward <= state == BACKWARD; is_error <= state == ERRORS; is_target <= state == TARGETS;
        is_spikes <= state == SPIKES; is_input <= state == INPUT;
        is_keep <= state == KEEP;
        updates <= state == UPDATE || state == UNDO; undoes <= state == UNDO; squares <= state == SQUARES;
    end
    logic products_busy, products_run, products_use, has_no_entry, quantizers_busy, rates_busy;
    logic [NUMBER_BITS-1:0] entry, word;  // that the products ask for

    // ---- tokens ------------------------------------------------------------------------------------
    logic labels;  // y_j of one output after the other becomes that of a label
    logic [INDEX_BITS-1:0] label, labelled;
    logic [4:0] spikes_in;  // the list of the input is a ring of 16 spikes
    logic a_valid, b_valid, c_valid, unit_waits;
    wire settled = spikes_in == entry[4:0] && !a_valid && !b_valid && !c_valid && !products_use;
    wire waits = is_input && products_run && in_open && !labels;
    wire is_spike = token == SPIKE;
    wire ring_is_full = spikes_in - entry[4:0] == 5'd16;
    wire takes = token_valid && token_ready;
    assign token_ready = waits && !(is_spike && (ring_is_full || unit_waits));
    always_ff @(posedge clk) rests <= waits && settled && !takes;
    wire acts = takes && !is_refused && !is_full;
    wire takes_spike = acts && is_spike;
    wire [NUMBER_BITS-1:0] outputs = records[LAYERS*RECORD_BITS +: NUMBER_BITS];
    wire is_known = token == SPIKE ? NUMBER_BITS'(token_unit) < inputs
        : token == TARGET || token == LABEL ? NUMBER_BITS'(token_unit) < outputs : 1'b1;
    wire fits_count = token_value == SUM_BITS'($signed(token_value[COUNT_BITS-2:0]));
    assign doing = state;

    // ---- regions of updates --------------------------------------------------------------------------
    logic [LENGTH_BITS-1:0] lengths_at;
    logic [MET_BITS-1:0] met_region;
    logic [LOG_BITS-1:0] words_region;

    // ---- the sparse set of inputs that have spiked, with their counts --------------------------------
    // a: where the unit might stand; b: whether it stands there, and with which count; c: written.
    logic [INDEX_BITS-1:0] a_unit, b_unit, c_unit;
    logic signed [COUNT_BITS-1:0] a_number, b_number, c_number, c_count;
    logic [MET_BITS-1:0] set_at, b_at, c_at;
    logic b_is_place, c_stands;
    logic [MET_BITS-1:0] n_inputs_met;
    logic [ENTRY_BITS-1:0] met;
    wire b_stands = b_is_place && met[COUNT_BITS +: INDEX_BITS] == b_unit;
    wire signed [COUNT_BITS:0] c_sum = c_count + c_number;
    wire [MET_BITS-1:0] c_place = c_stands ? c_at : n_inputs_met;
    // A unit that is on its way has no place yet.
    assign unit_waits = (a_valid && a_unit == token_unit) || (b_valid && b_unit == token_unit)
        || (c_valid && c_unit == token_unit);
    spikebp_memory #(.WIDTH(MET_BITS), .DEPTH(INPUTS), .ADDRESS_BITS(INDEX_BITS)) places (.clk(clk),
        .write(c_valid), .write_at(c_unit), .word_in(c_place), .read(1'b1), .read_at(token_unit),
        .word_out(set_at));
    always_ff @(posedge clk) begin
        a_valid <= takes_spike && is_known; a_unit <= token_unit; a_number <= token_value[COUNT_BITS-1:0];
        b_valid <= a_valid; b_unit <= a_unit; b_number <= a_number; b_at <= set_at;
        // A place that is being written is that of another unit.
        b_is_place <= set_at < n_inputs_met && !(c_valid && set_at == c_place);
        c_valid <= b_valid; c_unit <= b_unit; c_number <= b_number; c_at <= b_at; c_stands <= b_stands;
        c_count <= b_stands ? met[COUNT_BITS-1:0] : '0;
        if (rst) begin a_valid <= 0; b_valid <= 0; c_valid <= 0; end
    end

    // ---- lists: what is sent on, units met with their counts, words of errors, and all lengths ---------
    logic lists, lists_word;
    logic [INDEX_BITS-1:0] listed_unit;
    logic [NUMBER_BITS-1:0] listed_word;
    logic signed [COUNT_BITS-1:0] first_of_unit, second_of_unit;
    wire signed [COUNT_BITS-1:0] sent_on = is_output ? second_of_unit : first_of_unit;
    wire sends_on = lists && sent_on != 0;
    wire meets = lists && is_spikes && !is_output && second_of_unit != 0;
    logic [NUMBER_BITS-1:0] n_listed, n_sent, n_met, n_words, met_length, word_length;
    logic [ENTRY_BITS-1:0] listed;
    // Where what this pass reads begins: valid from its third clock on.
    logic [LIST_BITS-1:0] list_from;
    logic [MET_BITS-1:0] met_from, met_to;
    logic [LOG_BITS-1:0] words_from;
    always_ff @(posedge clk) begin
        list_from <= LIST_BITS'(is_backward ? list_at : number_of(below, 5));
        met_from <= is_input ? met_region : is_keep ? met_region - MET_BITS'(UNITS)
            : met_region + MET_BITS'(met_below_at);
        met_to <= met_region + MET_BITS'(met_at);
        words_from <= words_region + LOG_BITS'(drive_at);
    end
    spikebp_memory #(.WIDTH(ENTRY_BITS), .DEPTH(LISTED), .ADDRESS_BITS(LIST_BITS)) list (.clk(clk),
        .write(takes_spike || sends_on),
        .write_at(takes_spike ? LIST_BITS'(spikes_in[3:0]) : LIST_BITS'(list_at + n_sent)),
        .word_in(takes_spike ? {token_unit, token_value[COUNT_BITS-1:0]} : {listed_unit, sent_on}),
        .read(1'b1), .read_at(is_input ? LIST_BITS'(entry[3:0]) : list_from + LIST_BITS'(entry)), .word_out(listed));
    // After an update, the inputs met are kept for the next region.
    logic keeps_now, keeps;
    logic [MET_BITS-1:0] kept, kept_at;
    spikebp_memory #(.WIDTH(ENTRY_BITS), .DEPTH(UPDATES*UNITS), .ADDRESS_BITS(MET_BITS)) met_units (.clk(clk),
        .write(c_valid || meets || keeps),
        .write_at(c_valid ? met_region + c_place : keeps ? met_region + kept_at : met_to + MET_BITS'(n_met)),
        .word_in(c_valid ? {c_unit, c_sum[COUNT_BITS-1:0]} : keeps ? met : {listed_unit, second_of_unit}),
        .read(1'b1),
        .read_at(met_from + (is_input ? set_at : is_keep ? kept : MET_BITS'(entry))), .word_out(met));
    logic [NUMBER_BITS-1:0] error_word;
    spikebp_memory #(.WIDTH(NUMBER_BITS), .DEPTH(UPDATES*WORDS), .ADDRESS_BITS(LOG_BITS)) error_words (.clk(clk),
        .write(lists_word), .write_at(words_from + LOG_BITS'(n_words)),
        .word_in(listed_word), .read(1'b1), .read_at(words_from + LOG_BITS'(word)),
        .word_out(error_word));
    wire quantizes = state == TARGETS || state == SPIKES || state == ERRORS;
    wire quantized = quantizes && !quantizers_busy;
    wire [LENGTH_BITS-1:0] of_layer = lengths_at + LENGTH_BITS'(l);
    spikebp_memory #(.WIDTH(NUMBER_BITS), .DEPTH(UPDATES*(LAYERS+1)), .ADDRESS_BITS(LENGTH_BITS)) met_lengths (
        .clk(clk), .write(state == INPUT || (quantized && is_spikes && !is_output)),
        .write_at(state == INPUT ? lengths_at : of_layer),
        .word_in(state == INPUT ? NUMBER_BITS'(n_inputs_met) : n_met),
        .read(1'b1), .read_at(of_layer - 1'b1), .word_out(met_length));
    spikebp_memory #(.WIDTH(NUMBER_BITS), .DEPTH(UPDATES*(LAYERS+1)), .ADDRESS_BITS(LENGTH_BITS)) word_lengths (
        .clk(clk), .write(quantized && learns_now), .write_at(of_layer), .word_in(n_words),
        .read(1'b1), .read_at(of_layer), .word_out(word_length));

    // ---- rates -------------------------------------------------------------------------------------
    logic [RATE_BITS-1:0] rate, rate_of_update, rate_logged;
    logic [COUNT_BITS-2:0] count_limit, output_error_limit;
    logic has_count;
    logic signed [COUNT_BITS-1:0] cut_count;
    spikebp_rates #(.COUNT_BITS(COUNT_BITS), .RATE_BITS(RATE_BITS), .SQUARE_BITS(SQUARE_BITS),
        .DIVIDEND_BITS(DIVIDEND_BITS)) rates (.clk(clk), .rst(rst),
        .opens(!is_open), .steps(acts && token == STEP),
        .count_least(count_least), .count_each(count_each), .error_least(error_least),
        .error_each(error_each), .gain_least(gain_least), .gain_each(gain_each),
        .count_limit(count_limit), .output_error_limit(output_error_limit),
        .clears(state == SQUARES && go), .adds(has_count), .count(cut_count),
        .go(state == RATE && go), .divides_rate(divides_rate), .limits_gain(limits_gain),
        .given_rate(given_rate), .added(added), .busy(rates_busy), .rate(rate));
    spikebp_memory #(.WIDTH(RATE_BITS), .DEPTH(UPDATES*(LAYERS+1)), .ADDRESS_BITS(LENGTH_BITS)) logged_rates (
        .clk(clk), .write(state == UPDATE && go), .write_at(of_layer), .word_in(rate),
        .read(1'b1), .read_at(of_layer), .word_out(rate_logged));
    assign rate_of_update = undoes ? rate_logged : rate;

    // ---- products and quantizers -------------------------------------------------------------------
    logic products_overflow, quantizers_overflow, sum_read, sum_write, left_write;
    logic [SUM_ADDRESS-1:0] sum_read_at, sum_write_at;
    logic [P*SUM_BITS-1:0] sums;
    logic [LEFT_ADDRESS-1:0] left_write_at;
    logic [NUMBER_BITS-1:0] left_to;
    logic [COUNT_BITS-1:0] magnitude;
    logic [P*LEFT_BITS-1:0] left, left_before;
    logic [P*COUNT_BITS-1:0] errors;
    logic [NUMBER_BITS-1:0] errors_of;
    logic [P*WEIGHT_BITS-1:0] weights;
    wire multiplies = state == INPUT || state == FORWARD || state == BACKWARD || state == SQUARES
        || state == UPDATE || state == UNDO;
    wire [P-1:0] host_lanes = P'(1) << host_lane;
    wire [P-1:0] host_writes = host_write && rests ? host_lanes : '0;
    logic restores;
    logic [SUM_ADDRESS-1:0] restored_at;
    logic [P*SUM_BITS-1:0] sums_in;
    genvar n;
    generate for (n = 0; n < P; n = n + 1) begin : sum_of_lane
        assign sums_in[n*SUM_BITS +: SUM_BITS] = rests ? host_in
            : SUM_BITS'($signed(restores ? left_before[n*LEFT_BITS +: LEFT_BITS]
                                         : left[n*LEFT_BITS +: LEFT_BITS]));
    end endgenerate
    spikebp_products #(.LANE_BITS(LANE_BITS), .WEIGHT_BITS(WEIGHT_BITS), .COUNT_BITS(COUNT_BITS),
        .RATE_BITS(RATE_BITS), .SUM_BITS(SUM_BITS), .INDEX_BITS(INDEX_BITS), .NUMBER_BITS(NUMBER_BITS),
        .BANK_DEPTH(BANK_DEPTH), .BANK_BITS(BANK_BITS), .SUM_DEPTH(SUM_DEPTH),
        .SUM_ADDRESS(SUM_ADDRESS), .IMAGE(IMAGE)) products (.clk(clk), .rst(rst),
        .go(go && multiplies), .streams(is_input), .still_come(is_input && in_open),
        .is_backward(is_backward), .updates(updates), .undoes(undoes), .squares(squares),
        .entries(is_input ? NUMBER_BITS'(spikes_in) : updates || squares ? met_length : n_listed),
        .words(squares ? NUMBER_BITS'(1) : updates ? word_length
            : is_backward ? number_of(below, 1) : words),
        .row_words(words), .tiles_at(tiles_at),
        .sums_at(is_backward ? number_of(below, 4) : drive_at), .is_fresh(is_fresh),
        .count_limit(count_limit), .error_limit(is_output ? output_error_limit : hidden_error_limit),
        .rate(rate_of_update), .busy(products_busy), .runs(products_run), .in_use(products_use),
        .has_no_entry(has_no_entry), .overflow(products_overflow),
        .entry(entry), .word(word), .listed(updates || squares ? met : listed),
        .error_word(error_word), .errors_of(errors_of), .errors(errors),
        .has_count(has_count), .cut_count(cut_count),
        .host_write(host_memory == WEIGHTS ? host_writes : '0), .host_at(BANK_BITS'(host_at)),
        .host_in(host_in[WEIGHT_BITS-1:0]), .host_out(weights),
        .sum_write(rests ? (host_memory == SUMS ? host_writes : '0) : {P{sum_write || restores}}),
        .sum_write_at(rests ? SUM_ADDRESS'(host_at) : restores ? restored_at : sum_write_at),
        .sum_read_at(rests ? SUM_ADDRESS'(host_at) : sum_read_at), .sums_in(sums_in),
        .sum_read(rests || sum_read), .sums_out(sums));
    spikebp_quantizers #(.LANE_BITS(LANE_BITS), .COUNT_BITS(COUNT_BITS), .SUM_BITS(SUM_BITS),
        .LEFT_BITS(LEFT_BITS), .INDEX_BITS(INDEX_BITS), .NUMBER_BITS(NUMBER_BITS),
        .WORD_DEPTH(WORDS), .WORD_BITS($clog2(WORDS + 1)), .LOG_DEPTH(UPDATES*WORDS), .LOG_BITS(LOG_BITS),
        .OUTPUT_DEPTH(OUTPUT_WORDS), .OUTPUT_BITS($clog2(OUTPUT_WORDS + 1)),
        .SUM_ADDRESS(SUM_ADDRESS), .LEFT_ADDRESS(LEFT_ADDRESS)) quantizers (.clk(clk), .rst(rst), .fraction_bits(fraction_bits),
        .go(go && quantizes), .is_target(is_target), .is_error(is_error),
        .is_output(is_output), .learns(learns_now), .is_fresh(is_target ? is_first_target : is_fresh),
        .counts_afresh(is_first_step), .errors_afresh(is_first_target || !learns_once),
        .units(units), .words(words), .words_at(drive_at),
        .log_at(words_from),
        .sums_at(is_target ? NUMBER_BITS'(WORDS + HIDDEN_WORDS) : is_error ? left_at : drive_at),
        .left_at(left_to),
        .busy(quantizers_busy), .overflow(quantizers_overflow),
        .sum_read(sum_read), .sum_read_at(sum_read_at), .sum_write_at(sum_write_at), .sums(sums),
        .sum_write(sum_write), .left_write(left_write), .left_write_at(left_write_at), .left(left),
        .target_write(labels || (acts && is_known && token == TARGET)), .target_unit(labels ? labelled : token_unit),
        .target(!labels ? token_value : labelled == label ? y_right : y_wrong),
        .errors_of(errors_of), .errors(errors), .lists_word(lists_word), .listed_word(listed_word),
        .lists(lists), .listed_unit(listed_unit), .spikes(first_of_unit), .listed_count(second_of_unit),
        .magnitude(magnitude));

    // ---- psi before the sample, in one half of a memory: the other half gets that of now ---------------
    logic half_now;  // not changed by a reset, after which psi is where it was
    initial half_now = 0;
    logic [LEFT_ADDRESS-1:0] restored;
    localparam [LEFT_ADDRESS-1:0] HALF = LEFT_ADDRESS'(HIDDEN_WORDS);
    wire [LEFT_ADDRESS-1:0] here = half_now ? HALF : '0, there = half_now ? '0 : HALF;
    generate for (n = 0; n < P; n = n + 1) begin : left_of_lane
        localparam [7:0] DIGIT = n < 10 ? "0" + n : "a" + (n - 10);
        spikebp_memory #(.WIDTH(LEFT_BITS), .DEPTH(2*HIDDEN_WORDS), .ADDRESS_BITS(LEFT_ADDRESS),
            .IMAGE(IMAGE == "" ? "" : {IMAGE, "left_", DIGIT, ".hex"})) psi_before (
            .clk(clk), .write(rests ? host_memory == LEFT && host_writes[n] : left_write),
            .write_at(rests ? here + LEFT_ADDRESS'(host_at) : left_write_at),
            .word_in(rests ? host_in[LEFT_BITS-1:0] : left[n*LEFT_BITS +: LEFT_BITS]),
            .read(1'b1), .read_at(here + restored), .word_out(left_before[n*LEFT_BITS +: LEFT_BITS]));
    end endgenerate
    always_ff @(posedge clk) begin
        left_to <= left_at - NUMBER_BITS'(WORDS) + NUMBER_BITS'(there);
        restores <= state == RESTORE && restored != HALF;
        restored_at <= SUM_ADDRESS'(WORDS) + SUM_ADDRESS'(restored);
        restored <= state != RESTORE ? '0 : restored == HALF ? HALF : restored + 1'b1;
        keeps_now <= is_keep;
        keeps <= keeps_now && kept != n_inputs_met; kept_at <= kept;
        kept <= !keeps_now ? '0 : kept == n_inputs_met ? kept : kept + 1'b1;
    end

    // ---- the host, and who looks on ------------------------------------------------------------------
    logic [SUM_BITS-1:0] sum_of_lane_read;
    logic signed [WEIGHT_BITS-1:0] weight_of_lane;
    always_comb begin
        sum_of_lane_read = 0; weight_of_lane = 0;
        for (int i = 0; i < P; i = i + 1) if (host_lanes[i]) begin
            sum_of_lane_read = sum_of_lane_read | sums[i*SUM_BITS +: SUM_BITS];
            weight_of_lane = weight_of_lane | weights[i*WEIGHT_BITS +: WEIGHT_BITS];
        end
    end
    always_ff @(posedge clk) host_out <= host_memory == WEIGHTS ? SUM_BITS'(weight_of_lane) : sum_of_lane_read;
    assign sends = lists && is_spikes && first_of_unit != 0;
    assign sends_back = sends_on && learns_now;
    assign sending_layer = l;
    assign sending_unit = listed_unit;
    assign sent_spikes = first_of_unit;
    assign sent_error = sent_on;

    // ---- the order of things -------------------------------------------------------------------------
    logic [SENT_BITS:0] sent;  // of what is listed now, or comes in
    wire [COUNT_BITS-1:0] comes =
        token_value[COUNT_BITS-1] ? -token_value[COUNT_BITS-1:0] : token_value[COUNT_BITS-1:0];
    wire goes_wrong = quantizers_overflow || (products_overflow && state != UNDO)
        || sent[SENT_BITS] || (c_valid && c_sum[COUNT_BITS] != c_sum[COUNT_BITS-1])
        || (acts && !(is_known && (fits_count || !is_spike)));
    // A clock before the next pass: by then `is_bad` knows of all that went wrong in this one.
    logic is_done;
    always_ff @(posedge clk) is_done <= !rst && !go && !is_done && (
        state == INPUT ? !in_open && settled && !products_busy
        : quantizes ? !quantizers_busy
        : state == RATE ? !rates_busy
        : state == KEEP ? keeps_now && kept == n_inputs_met && !keeps
        : state == RESTORE ? restored == HALF && !restores : !products_busy);
    wire ends = closes || drops;
    logic [NUMBER_BITS-1:0] logged;  // updates of this sample
    wire [3:0] learning = divides_rate || limits_gain ? SQUARES : RATE;
    wire [3:0] undoing = logged != 0 || state == UPDATE ? UNDO : RESTORE;
    logic [3:0] next;
    always_comb case (state)
        INPUT: next = ends && (is_refused || !is_open) ? FINISH
            : drops || (is_full && !ends) || (ends && (is_bad || in_step)) ? undoing
            : ends ? (has_learned && learns_once ? learning : FINISH)
            : LAYERS == 1 && is_taught ? TARGETS : SPIKES;
        TARGETS: next = SPIKES;
        SPIKES: next = !is_last ? FORWARD : is_taught && LAYERS != 1 ? BACKWARD
            : is_bad ? undoing : is_taught && !learns_once ? learning : NEXT_STEP;
        FORWARD: next = is_last && is_taught ? TARGETS : SPIKES;
        BACKWARD: next = ERRORS;
        ERRORS: next = l != 1 ? BACKWARD : is_bad ? undoing : learns_once ? NEXT_STEP : learning;
        SQUARES: next = RATE;
        RATE: next = UPDATE;
        UPDATE: next = !is_last ? learning : is_bad ? undoing : learns_once ? FINISH
            : logged + 1'b1 == NUMBER_BITS'(UPDATES) ? NEXT_STEP : KEEP;
        UNDO: next = is_last && logged == 1 ? RESTORE : UNDO;
        RESTORE: next = ends ? FINISH : NEXT_STEP;
        default: next = NEXT_STEP;
    endcase
    wire begins_update = next == learning && state != SQUARES;
    wire undoes_next = next == UNDO && (state == UNDO ? is_last : state != UPDATE && !is_full);
    always_ff @(posedge clk) begin
        go <= 0;
        if (goes_wrong) is_bad <= 1;
        if (go && quantizes) begin n_sent <= 0; n_met <= 0; n_words <= 0; sent <= 0; end
        if (sends_on) begin n_sent <= n_sent + 1'b1; sent <= sent + (SENT_BITS+1)'(magnitude); end
        if (meets) n_met <= n_met + 1'b1;
        if (lists_word) n_words <= n_words + 1'b1;
        if (takes_spike) begin
            spikes_in <= spikes_in + 1'b1; sent <= sent + (SENT_BITS+1)'(comes); in_step <= 1;
        end
        if (c_valid && !c_stands) n_inputs_met <= n_inputs_met + 1'b1;
        if (labels) begin
            labelled <= labelled + 1'b1;
            if (NUMBER_BITS'(labelled) + 1'b1 == outputs) labels <= 0;
        end
        if (acts && token == LABEL) begin labels <= 1; labelled <= 0; label <= token_unit; end
        if (acts && token == STEP) begin
            in_open <= 0; in_step <= 0; is_taught <= token_value != 0;
            is_first_target <= !has_learned; has_learned <= has_learned || token_value != 0;
        end
        if (takes) begin
            is_open <= 1; closes <= token == CLOSE; drops <= token == DROP;
            // A sample that has no room for one more update is over, too.
            if (token == CLOSE || token == DROP || (is_full && !is_refused && (is_spike || token == STEP)))
                in_open <= 0;
        end

        if (is_done) begin
            go <= 1;
            state <= next == NEXT_STEP || next == FINISH ? INPUT : next;
            l <= next == FORWARD || (begins_update && state == UPDATE) || (state == UNDO && next == UNDO && !is_last)
                    ? l + 1'b1
                : next == ERRORS ? l - 1'b1
                : next == BACKWARD || next == TARGETS || next == SPIKES || next == RATE && state == SQUARES
                    || next == UPDATE ? l : 4'd1;
            n_listed <= n_sent;
            is_fresh <= next == FORWARD ? drive_is_fresh[l + 1] : next == BACKWARD ? zeroes_left && is_first_target
                : next == NEXT_STEP ? drive_is_fresh[1] : next == FINISH ? 1'b1
                : is_fresh && (state == TARGETS || has_no_entry);
            for (int i = 1; i <= LAYERS; i = i + 1)
                if (l == 4'(i) && (state == INPUT || state == FORWARD) && !has_no_entry) drive_is_fresh[i] <= 0;
            if (state == UPDATE && is_last) begin
                logged <= logged + 1'b1; is_full <= next == NEXT_STEP;
            end
            if (state == UNDO && is_last) logged <= logged - 1'b1;
            if (next == KEEP) begin
                lengths_at <= lengths_at + LENGTH_BITS'(LAYERS + 1);
                met_region <= met_region + MET_BITS'(UNITS); words_region <= words_region + LOG_BITS'(WORDS);
            end
            if (undoes_next) begin
                lengths_at <= lengths_at - LENGTH_BITS'(LAYERS + 1);
                met_region <= met_region - MET_BITS'(UNITS); words_region <= words_region - LOG_BITS'(WORDS);
            end
            if (next == NEXT_STEP) begin
                in_open <= 1; spikes_in <= 0; sent <= 0; is_first_step <= 0;
                if (state == RESTORE) is_refused <= 1;
            end
            if (next == FINISH) begin
                refused <= is_refused || state == RESTORE;
                half_now <= half_now ^ (has_learned && !is_refused && state != RESTORE);
            end
        end
        if (rst || (is_done && next == FINISH)) begin
            is_open <= 0; in_step <= 0; in_open <= 1; closes <= 0; drops <= 0; labels <= 0;
            has_learned <= 0; is_first_step <= 1; is_bad <= 0; is_refused <= 0; is_full <= 0;
            drive_is_fresh <= '1; is_fresh <= 1; n_inputs_met <= 0; logged <= 0; spikes_in <= 0; sent <= 0;
            lengths_at <= 0; met_region <= 0; words_region <= 0;
        end
        if (rst) begin state <= INPUT; l <= 1; go <= 1; refused <= 0; end
    end
endmodule
