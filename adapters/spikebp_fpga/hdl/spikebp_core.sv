// A network that learns by backpropagation of spikes: dense layers 0..L, immediate timing, graded
// spikes, and weights that learn in steps or once a sample. The symbols are those of the semantics.
//
// The core takes tokens, one a clock at most:
//   SPIKE  unit i of layer 0 sends `value` spikes in this step (k_0, of any sign, also more than once)
//   TARGET y_j is `value` units of the last place from now on
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
module spikebp_core (
    input  logic clk, rst,
    input  logic [NETWORK_BITS-1:0] network,  // what differs between networks of the same widths
    // tokens
    input  logic token_valid,
    input  logic [2:0] token,
    input  number token_unit,
    input  sum token_value,
    output logic token_ready,
    output logic rests,    // it waits for a token, and the host may read and write
    output logic refused,  // the last sample that was closed
    // memory: weights, or sums
    input  logic host_write,
    input  logic is_sums,  // and not weights
    input  logic [LANE_BITS:0] host_lane,
    input  number host_at,
    input  sum host_in,
    output sum host_out,  // five clocks after the address
    // what units send: spikes and, at the output and in the backward pass, errors
    output logic sends, sends_back,
    output logic [3:0] l,
    output number listed_unit,
    output count spikes, sent_on
);
    localparam [2:0] SPIKE = 0, TARGET = 1, STEP = 2, CLOSE = 3, DROP = 4;
    localparam [3:0] INPUT = 0, TARGETS = 1, SPIKES = 2, FORWARD = 3, BACKWARD = 4, ERRORS = 5,
        SQUARES = 6, RATE = 7, UPDATE = 8, KEEP = 9, UNDO = 10, NEXT_STEP = 11, FINISH = 12;  // of INPUT
    localparam ENTRY_BITS = NUMBER_BITS + COUNT_BITS;
    // So much is sent on at most, of which SUM_BITS hold the sum with any weights.
    localparam SENT_BITS = SUM_BITS - WEIGHT_BITS - 2;

    // ---- the network, constant on a chip ---------------------------------------------------------------
    logic [5:0] fraction_bits;
    logic [3:0] last_layer;  // L
    number most_updates;     // of a sample, at most UPDATES
    logic learns_once, divides_rate, limits_gain, zeroes_left;
    logic [3*LIMIT_BITS-1:0] limits_least, limits_each;
    logic [LAYERS:0][RECORD_BITS-1:0] records;  // of layers 0..L
    assign {records, limits_each, limits_least, zeroes_left, limits_gain, divides_rate, learns_once,
        most_updates, last_layer, fraction_bits} = network;

    // ---- the pass, and its layer: valid from its second clock on --------------------------------------
    logic go;
    logic [3:0] state;
    logic [RECORD_BITS-1:0] layer, below;
    number units, words, tiles_at, drive_at, psi_at, list_at, met_at;
    number words_below, psi_below, list_below, met_below;
    logic [LIMIT_BITS-1:0] given_rate, hidden_error_limit;
    logic [SQUARE_BITS-1:0] added;
    assign {hidden_error_limit, added, given_rate, met_at, list_at, psi_at, drive_at, tiles_at, words, units}
        = layer;
    assign {met_below, list_below, psi_below} = below[4*NUMBER_BITS +: 3*NUMBER_BITS];
    assign words_below = below[NUMBER_BITS +: NUMBER_BITS];
    wire number inputs = records[0][NUMBER_BITS-1:0], outputs = number'(records[last_layer]);
    wire is_last = l == last_layer;
    logic is_input, is_target, is_spikes, is_backward, is_error, squares, updates, undoes, is_keep, is_output;
    logic is_taught, learns_now;
    always_ff @(posedge clk) begin
        for (int i = 1; i <= LAYERS; i = i + 1)
            if (l == 4'(i)) begin layer <= records[i]; below <= records[i-1]; end
        is_output <= is_last;
        is_input <= state == INPUT; is_target <= state == TARGETS; is_spikes <= state == SPIKES;
        is_backward <= state == BACKWARD; is_error <= state == ERRORS; squares <= state == SQUARES;
        updates <= state == UPDATE || state == UNDO; undoes <= state == UNDO; is_keep <= state == KEEP;
        learns_now <= is_taught && (state == ERRORS || (state == SPIKES && is_last));
    end

    // ---- the sample ----------------------------------------------------------------------------------
    logic in_step, in_open, ends;  // the sample, and its step
    logic has_learned, is_first_step, is_first_target;
    logic is_bad;             // it was dropped, or a number did not fit: the rest of it does nothing
    number logged;            // its updates, which can be undone
    wire is_full = logged == most_updates;
    logic [15:0] drive_is_fresh;  // nothing was added to it in this sample
    logic is_fresh;                   // nor to what this pass reads
    number lengths_at, met_region, words_region;  // where the region of this update begins
    logic begins;                                 // a sample
    logic products_busy, products_run, in_use, has_no_entry, quantizers_busy, rates_busy;
    number entry, word;  // that the products ask for

    // ---- tokens ------------------------------------------------------------------------------------
    logic [4:0] spikes_in;  // the list of the input is a ring of 16 spikes
    logic [3:1] meeting;    // where a spike is on its way to the sparse set
    wire settled = spikes_in == entry[4:0] && meeting == 0 && !in_use;
    wire waits = is_input && products_run && in_open;
    wire is_spike = token == SPIKE;
    logic has_room;  // a clock late, so it leaves places free
    assign token_ready = waits && !(is_spike && (!has_room || meeting != 0));
    wire takes = token_valid && token_ready;
    wire acts = takes && !is_bad && !is_full;
    wire takes_spike = acts && is_spike;
    wire is_known = is_spike ? token_unit < inputs : token != TARGET || token_unit < outputs;
    wire fits_count = token_value == SUM_BITS'($signed(token_value[COUNT_BITS-2:0]));

    // ---- the sparse set of inputs that have spiked, with their counts ---------------------------------
    // Clock 1: where the unit might stand; 2: whether it stands there, and with which count; 3: written.
    number met_unit, set_at, place, n_inputs_met;
    count met_spikes, met_before;
    logic is_place, is_new;
    logic [ENTRY_BITS-1:0] met;
    wire stands = is_place && met[COUNT_BITS +: NUMBER_BITS] == met_unit;
    wire signed [COUNT_BITS:0] met_sum = met_before + met_spikes;
    spikebp_memory #(.WIDTH(NUMBER_BITS), .DEPTH(INPUTS)) places (.clk, .write(meeting[3]),
        .write_at(met_unit), .word_in(place), .read(1'b1), .read_at(token_unit), .word_out(set_at));
    always_ff @(posedge clk) begin
        meeting <= rst ? '0 : {meeting[2:1], takes_spike && is_known};
        if (takes_spike) begin met_unit <= token_unit; met_spikes <= token_value[COUNT_BITS-1:0]; end
        is_place <= set_at < n_inputs_met;
        place <= meeting[1] ? set_at : stands ? place : n_inputs_met;
        met_before <= stands ? met[COUNT_BITS-1:0] : '0; is_new <= !stands;
    end

    // ---- lists: what is sent on, units met with their counts, words of errors, and lengths -------------
    logic lists, lists_word;
    number listed_word, error_word, n_listed, n_sent, n_met, n_words, met_length, word_length;
    count listed_count;
    logic [ENTRY_BITS-1:0] listed;
    assign sent_on = is_output ? listed_count : spikes;
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
    spikebp_memory #(.WIDTH(ENTRY_BITS), .DEPTH(LISTED)) list (.clk,
        .write(takes_spike || sends_on),
        .write_at(takes_spike ? number'(spikes_in[3:0]) : list_at + n_sent),
        .word_in(takes_spike ? {token_unit, token_value[COUNT_BITS-1:0]} : {listed_unit, sent_on}),
        .read(1'b1), .read_at(is_input ? number'(entry[3:0]) : list_from + entry), .word_out(listed));
    spikebp_memory #(.WIDTH(ENTRY_BITS), .DEPTH(UPDATES*UNITS)) met_units (.clk,
        .write(meeting[3] || meets || keeps),
        .write_at(meeting[3] ? met_region + place : keeps ? met_region + kept_at : met_to + n_met),
        .word_in(meeting[3] ? {met_unit, met_sum[COUNT_BITS-1:0]}
            : keeps ? met : {listed_unit, listed_count}),
        .read(1'b1), .read_at(met_from + (is_input ? set_at : is_keep ? kept : entry)), .word_out(met));
    spikebp_memory #(.WIDTH(NUMBER_BITS), .DEPTH(UPDATES*WORDS)) error_words (.clk,
        .write(lists_word), .write_at(words_from + n_words), .word_in(listed_word),
        .read(1'b1), .read_at(words_from + word), .word_out(error_word));
    wire quantizes = state == TARGETS || state == SPIKES || state == ERRORS;
    wire quantized = quantizes && !quantizers_busy;
    wire number of_layer = lengths_at + number'(l);
    localparam LENGTHS = UPDATES * (LAYERS + 1);
    spikebp_memory #(.WIDTH(NUMBER_BITS), .DEPTH(LENGTHS)) met_lengths (.clk,
        .write((is_input && state == INPUT) || (quantized && is_spikes && !is_output)),
        .write_at(is_input ? lengths_at : of_layer), .word_in(is_input ? n_inputs_met : n_met),
        .read(1'b1), .read_at(of_layer - 1'b1), .word_out(met_length));
    spikebp_memory #(.WIDTH(NUMBER_BITS), .DEPTH(LENGTHS)) word_lengths (.clk,
        .write(quantized && learns_now), .write_at(of_layer), .word_in(n_words),
        .read(1'b1), .read_at(of_layer), .word_out(word_length));

    // ---- rates -------------------------------------------------------------------------------------
    logic [RATE_BITS-1:0] rate, rate_logged;
    logic [COUNT_BITS-2:0] count_limit, error_limit;
    logic has_count;
    count cut_count;
    spikebp_rates rates (.clk, .rst, .opens(begins), .steps(acts && token == STEP), .least(limits_least),
        .each(limits_each), .count_limit, .error_limit, .clears(state == SQUARES && go), .adds(has_count),
        .cut_count, .go(state == RATE && go), .divides_rate, .limits_gain, .given_rate, .added,
        .busy(rates_busy), .rate);
    spikebp_memory #(.WIDTH(RATE_BITS), .DEPTH(LENGTHS)) logged_rates (.clk,
        .write(state == UPDATE && go), .write_at(of_layer), .word_in(rate),
        .read(1'b1), .read_at(of_layer), .word_out(rate_logged));

    // ---- products and quantizers -------------------------------------------------------------------
    // psi is kept twice: the first pass of a sample that changes it reads one copy and writes the other,
    // so that the copy of before is there for a sample that is refused.
    logic psi_is_second;  // a reset does not change where psi is
    initial psi_is_second = 0;
    localparam [NUMBER_BITS-1:0] TARGET_SUMS = number'(WORDS + 2 * HIDDEN_WORDS);
    localparam [NUMBER_BITS-1:0] COPY = number'(HIDDEN_WORDS);
    wire number psi_from = is_first_target == psi_is_second ? COPY : '0;
    wire number psi_to = psi_is_second ? '0 : COPY;
    logic products_overflow, quantizers_overflow, sum_read, sum_write;
    number sum_read_at, sum_write_at, errors_of;
    logic [P*SUM_BITS-1:0] sums;
    logic [P*LEFT_BITS-1:0] left;
    logic [P*COUNT_BITS-1:0] errors;
    logic [COUNT_BITS-1:0] magnitude;
    spikebp_products products (.clk, .rst,
        .go(go && !quantizes && state != RATE && state != KEEP),
        .streams(is_input), .still_come(is_input && in_open), .is_backward, .updates, .undoes, .squares,
        .entries(is_input ? number'(spikes_in) : updates || squares ? met_length : n_listed),
        .words(squares ? number'(1) : updates ? word_length : is_backward ? words_below : words),
        .row_words(words), .tiles_at, .sums_from(is_backward ? psi_below + psi_from : drive_at),
        .sums_to(is_backward ? psi_below + psi_to : drive_at), .is_fresh,
        .count_limit, .error_limit(is_output ? error_limit : hidden_error_limit[COUNT_BITS-2:0]),
        .rate(undoes ? rate_logged : rate), .busy(products_busy), .runs(products_run), .in_use,
        .has_no_entry, .overflow(products_overflow), .entry, .word,
        .listed(updates || squares ? met : listed), .error_word, .errors_of, .errors,
        .has_count, .cut_count, .sum_read, .sum_write, .sum_read_at, .sum_write_at, .left, .sums,
        .host_write(host_write && rests), .is_sums, .host_lane, .host_in, .host_out,
        .host_at(psi_is_second && is_sums && host_at >= number'(WORDS) ? host_at + COPY : host_at));
    spikebp_quantizers quantizers (.clk, .rst, .fraction_bits, .go(go && quantizes),
        .is_target, .is_error, .is_output, .learns(learns_now),
        .is_fresh(is_target ? is_first_target : is_fresh), .counts_afresh(is_first_step),
        .errors_afresh(is_first_target || !learns_once), .units, .words, .words_at(drive_at),
        .sums_from(is_target ? TARGET_SUMS
            : is_error ? psi_at + (has_no_entry ? psi_from : psi_to) : drive_at),
        .sums_to(is_target ? TARGET_SUMS : is_error ? psi_at + psi_to : drive_at), .log_at(words_from),
        .busy(quantizers_busy), .overflow(quantizers_overflow), .sum_read, .sum_read_at, .sums, .sum_write,
        .sum_write_at, .left, .target_write(acts && is_known && token == TARGET),
        .target_unit(token_unit), .target(token_value),
        .errors_of, .errors, .lists_word, .listed_word, .lists, .listed_unit, .spikes, .listed_count,
        .magnitude);

    assign sends = lists && is_spikes && spikes != 0;
    assign sends_back = sends_on && learns_now;

    // ---- the order of things -------------------------------------------------------------------------
    logic [SENT_BITS:0] sent;  // of what is listed now, or comes in
    wire [COUNT_BITS-1:0] came = token_value[COUNT_BITS-1:0], comes = came[COUNT_BITS-1] ? -came : came;
    wire goes_wrong = quantizers_overflow || (products_overflow && state != UNDO) || sent[SENT_BITS]
        || (meeting[3] && met_sum[COUNT_BITS] != met_sum[COUNT_BITS-1])
        || (acts && !(is_known && (fits_count || !is_spike)))
        || (takes && (is_spike || token == STEP ? is_full : token == CLOSE ? in_step : token == DROP));
    // A clock before the next pass: by then `is_bad` knows of all that went wrong in this one.
    logic is_done;
    always_ff @(posedge clk) is_done <= !rst && !go && !is_done && (
        state == INPUT ? !in_open && settled && !products_busy
        : quantizes ? !quantizers_busy
        : state == RATE ? !rates_busy
        : state == KEEP ? keeps_now && kept == n_inputs_met && !keeps : !products_busy);
    wire [3:0] learning = divides_rate || limits_gain ? SQUARES : RATE;
    logic [3:0] next;
    always_comb case (state)
        INPUT: next = !ends ? (last_layer == 1 && is_taught ? TARGETS : SPIKES)
            : is_bad ? (logged != 0 ? UNDO : FINISH) : has_learned && learns_once ? learning : FINISH;
        TARGETS: next = SPIKES;
        SPIKES: next = !is_last ? FORWARD : is_taught && last_layer != 1 ? BACKWARD
            : is_taught && !learns_once && !is_bad ? learning : NEXT_STEP;
        FORWARD: next = is_last && is_taught ? TARGETS : SPIKES;
        BACKWARD: next = ERRORS;
        ERRORS: next = l != 1 ? BACKWARD : learns_once || is_bad ? NEXT_STEP : learning;
        SQUARES: next = RATE;
        RATE: next = UPDATE;
        UPDATE: next = !is_last ? learning : learns_once ? (is_bad ? UNDO : FINISH)
            : logged + 1'b1 == most_updates ? NEXT_STEP : KEEP;
        UNDO: next = is_last && logged == 1 ? FINISH : UNDO;
        default: next = NEXT_STEP;
    endcase
    wire goes_up = next == FORWARD || (state == UPDATE && next == learning) || (state == UNDO && !is_last);
    wire stays = next == BACKWARD || next == TARGETS || next == SPIKES || next == UPDATE || state == SQUARES;
    // The region before: that of now is empty, unless it is the last one or was just learned from.
    wire goes_back = next == UNDO && (state == UNDO ? is_last : state != UPDATE && !is_full);
    assign begins = is_done && next == FINISH;
    always_ff @(posedge clk) begin
        go <= is_done; has_room <= spikes_in - entry[4:0] < 5'd14;
        rests <= waits && settled && !takes;
        if (goes_wrong) is_bad <= 1;
        if (go && quantizes) begin n_sent <= 0; n_met <= 0; n_words <= 0; sent <= 0; end
        if (sends_on) begin n_sent <= n_sent + 1'b1; sent <= sent + (SENT_BITS+1)'(magnitude); end
        if (meets) n_met <= n_met + 1'b1;
        if (lists_word) n_words <= n_words + 1'b1;
        if (takes_spike) begin
            spikes_in <= spikes_in + 1'b1; sent <= sent + (SENT_BITS+1)'(comes); in_step <= 1;
        end
        if (meeting[3] && is_new) n_inputs_met <= n_inputs_met + 1'b1;
        if (acts && token == STEP) begin
            in_open <= 0; in_step <= 0; is_taught <= token_value != 0;
            is_first_target <= !has_learned; has_learned <= has_learned || token_value != 0;
        end
        if (takes && token >= CLOSE) begin in_open <= 0; ends <= 1; end
        if (is_done) begin
            state <= next >= NEXT_STEP ? INPUT : next;
            l <= goes_up ? l + 1'b1 : next == ERRORS ? l - 1'b1 : stays ? l : 4'd1;
            n_listed <= n_sent;
            is_fresh <= next == FORWARD ? drive_is_fresh[l + 1]
                : next == BACKWARD ? zeroes_left && is_first_target
                : next == NEXT_STEP ? drive_is_fresh[1] : is_fresh && (state == TARGETS || has_no_entry);
            if ((state == INPUT || state == FORWARD) && !has_no_entry) drive_is_fresh[l] <= 0;
            if (state == UPDATE && is_last) logged <= logged + 1'b1;
            if (state == UNDO && is_last) logged <= logged - 1'b1;
            if (next == KEEP || goes_back) begin
                lengths_at <= goes_back ? lengths_at - number'(LAYERS + 1) : lengths_at + number'(LAYERS + 1);
                met_region <= goes_back ? met_region - number'(UNITS) : met_region + number'(UNITS);
                words_region <= goes_back ? words_region - number'(WORDS) : words_region + number'(WORDS);
            end
            if (next == NEXT_STEP) begin in_open <= 1; spikes_in <= 0; sent <= 0; is_first_step <= 0; end
        end
        if (begins) begin refused <= is_bad; psi_is_second <= psi_is_second ^ (has_learned && !is_bad); end
        if (rst || begins) begin
            in_step <= 0; in_open <= 1; ends <= 0; spikes_in <= 0;
            has_learned <= 0; is_first_step <= 1; is_bad <= 0; sent <= 0;
            drive_is_fresh <= '1; is_fresh <= 1; n_inputs_met <= 0; logged <= 0;
            lengths_at <= 0; met_region <= 0; words_region <= 0;
        end
        if (rst) begin state <= INPUT; l <= 1; go <= 1; refused <= 0; rests <= 0; end
    end
endmodule
