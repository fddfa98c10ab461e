// The quantizers: potentials become spikes or errors, a word of P units at a time, and what is not
// zero is listed one unit a clock.
//
// `signed(v)` is k = sgn(v) ceil(|v| - 1/2), so (v + 1/2) rounded down, and a unit of the last place less
// is added where v is positive: at exactly 1/2 nothing fires. What is left is v - k. `rectified(v)` is
// the same, but 0 for negative v. Three passes use them:
//
// Rule 2, spikes:   phi_l = s_l - (spikes so far), k_l = rectified(phi_l), c_l += k_l. Of phi nothing is
//                   kept but s and c. At the output, e_L = k_L - m, 0 where s_L < 0 (rule 3).
// Rule 3, targets:  phi_y += y, m = signed(phi_y).
// Rule 4, errors:   e_l = signed(psi_l), 0 where s_l < 0.
// Rule 5:           E_l += e_l, or E_l = e_l where weights learn at each step. Words that are not all
//                   zero are listed for the update.
//
// A word takes max(2, units listed) clocks: `advances` moves all stages at once, and is a register.
// A sum that arrives next has room above a potential that passes here: |v| < 2^(SUM_BITS - 3).
module spikebp_quantizers (
    input  logic clk, rst,
    input  logic [5:0] fraction_bits,
    // the pass: `go` begins it, what it reads is valid from the next clock on
    input  logic go,
    input  logic is_target, is_error, is_output, learns,
    input  logic is_fresh,                      // the potentials are of another sample: they are 0
    input  logic counts_afresh, errors_afresh,  // c is 0, E is 0
    input  number units, words, words_at, log_at, sums_from, sums_to,
    output logic busy, overflow,
    // potentials, and what is left of them
    input  logic [P*SUM_BITS-1:0] sums,
    output logic sum_read, sum_write,
    output number sum_read_at, sum_write_at,
    output logic [P*LEFT_BITS-1:0] left,
    // a target y_j that is written
    input  logic target_write,
    input  number target_unit,
    input  sum target,
    // errors for the update, and words of them that are not zero
    input  number errors_of,
    output logic [P*COUNT_BITS-1:0] errors,
    output logic lists_word,
    output number listed_word,
    // a unit that is listed: k_l and c_l, at the output k_L and e_L, or e_l
    output logic lists,
    output number listed_unit,
    output count spikes, listed_count,
    output logic [COUNT_BITS-1:0] magnitude  // of what is sent on
);
    wire [SUM_BITS-1:0] half = SUM_BITS'(1) << (fraction_bits - 1'b1);
    wire [SUM_BITS-1:0] fraction = (SUM_BITS'(1) << fraction_bits) - 1'b1;

    // ---- words, one after the other ----------------------------------------------------------------
    logic begins, runs, advances;
    number word, count_at;
    logic [6:1] valid;
    logic [6:1][NUMBER_BITS-1:0] word_at;
    logic [P-1:0] waits;  // units of a word that are still to be listed
    wire loads = advances && valid[6];
    always_ff @(posedge clk) begin
        begins <= go;
        if (begins) begin
            runs <= 1; word <= 0; sum_read_at <= sums_from; count_at <= words_at;
        end else if (advances && runs) begin
            word <= word + 1'b1; sum_read_at <= sum_read_at + 1'b1; count_at <= count_at + 1'b1;
            if (word + 1'b1 == words) runs <= 0;
        end
        if (advances) begin
            valid <= {valid[5:1], runs};
            word_at <= {word_at[5:1], word};
        end
        if (rst) begin begins <= 0; runs <= 0; valid <= 0; end
    end
    assign sum_read = advances;

    // ---- memories: c_l and the sign of s_l, E_l, y, and m --------------------------------------------
    logic [P*(COUNT_BITS+1)-1:0] counted, counted_next;
    spikebp_memory #(.WIDTH(P*(COUNT_BITS+1)), .DEPTH(WORDS)) counts (.clk,
        .write(loads && !is_error && !is_target), .write_at(words_at + word_at[6]),
        .word_in(counted_next), .read(advances), .read_at(count_at), .word_out(counted));
    wire sums_errors = loads && learns && !is_target;
    logic [P*COUNT_BITS-1:0] errors_next, fired, targets_fired;
    spikebp_memory #(.WIDTH(P*COUNT_BITS), .DEPTH(UPDATES*WORDS)) summed_errors (.clk,
        .write(sums_errors), .write_at(log_at + word_at[6]), .word_in(errors_next),
        .read(runs || valid != 0 ? advances : 1'b1),
        .read_at(log_at + (runs || valid != 0 ? word : errors_of)), .word_out(errors));
    spikebp_memory #(.WIDTH(P*COUNT_BITS), .DEPTH(OUTPUT_WORDS)) fired_targets (.clk,
        .write(loads && is_target), .write_at(word_at[6]), .word_in(fired),
        .read(advances), .read_at(word), .word_out(targets_fired));

    // ---- lanes -------------------------------------------------------------------------------------
    logic [P*COUNT_BITS-1:0] firsts, seconds;
    logic [P-1:0] is_listed, is_wrong, is_bad;
    genvar n;
    generate for (n = 0; n < P; n = n + 1) begin : lane
        logic [SUM_BITS-1:0] minus_y;
        spikebp_memory #(.WIDTH(SUM_BITS), .DEPTH(OUTPUT_WORDS)) targets (.clk,
            .write(target_write && (target_unit & number'(P - 1)) == number'(n)),
            .write_at(target_unit >> LANE_BITS), .word_in(-target),
            .read(advances), .read_at(word), .word_out(minus_y));
        // Stage 1 is what memories say and 2 keeps it, 3 is the potential, 4 with the bias of the
        // threshold, 5 spikes, 6 errors.
        sum raw2, minus_y2, v3, v4;
        count c2, c3, c4, c5, c6, E2, E3, E4, E5, E6, m2, m3, m4, m5, k5, k6, e6;
        logic silenced2, silenced3, silenced4, silenced5, silenced6, is_mute5;
        logic negative4, bad3, bad4, bad5, bad6;
        logic signed [LEFT_BITS-1:0] left5, left6;
        wire sum spent = SUM_BITS'(c2) << fraction_bits;
        wire sum whole = v4 >>> fraction_bits;
        wire stays = !is_error && !is_target && whole[SUM_BITS-1];  // rectified
        wire is_unit = ((word_at[4] << LANE_BITS) | number'(n)) < units;
        wire signed [COUNT_BITS:0] difference = k5 - m5, E_next = E6 + e6, c_next = c6 + k6;
        always_ff @(posedge clk) if (advances) begin
            raw2 <= is_fresh ? '0 : sums[n*SUM_BITS +: SUM_BITS];
            {silenced2, c2} <= counted[n*(COUNT_BITS+1) +: COUNT_BITS+1];
            if (counts_afresh && !is_error) c2 <= '0;
            E2 <= errors_afresh ? '0 : errors[n*COUNT_BITS +: COUNT_BITS];
            m2 <= is_error ? '0 : targets_fired[n*COUNT_BITS +: COUNT_BITS];
            minus_y2 <= minus_y;
            v3 <= raw2 - (is_target ? minus_y2 : is_error ? '0 : spent);
            silenced3 <= is_error ? silenced2 : raw2[SUM_BITS-1];
            c3 <= c2; E3 <= E2; m3 <= m2;
            bad3 <= raw2[SUM_BITS-1 -: 3] != 0 && raw2[SUM_BITS-1 -: 3] != 3'b111;
            v4 <= v3 + (v3[SUM_BITS-1] ? half : half - 1'b1);
            negative4 <= v3[SUM_BITS-1]; silenced4 <= silenced3; c4 <= c3; E4 <= E3; m4 <= m3;
            bad4 <= bad3 || (v3[SUM_BITS-1 -: 3] != 0 && v3[SUM_BITS-1 -: 3] != 3'b111);
            k5 <= stays || !is_unit ? '0 : whole[COUNT_BITS-1:0];
            left5 <= LEFT_BITS'((v4 & fraction) - (negative4 ? half : half - 1'b1));
            silenced5 <= silenced4; is_mute5 <= silenced4 || !is_unit || !learns;
            c5 <= c4; E5 <= E4; m5 <= m4;
            bad5 <= is_unit && (bad4 || (!stays && whole != SUM_BITS'($signed(whole[COUNT_BITS-2:0]))));
            k6 <= k5; c6 <= c5; E6 <= E5; left6 <= left5; silenced6 <= silenced5;
            e6 <= is_mute5 ? '0 : difference[COUNT_BITS-1:0];
            bad6 <= bad5 || (!is_mute5 && difference[COUNT_BITS] != difference[COUNT_BITS-1]);
        end
        assign fired[n*COUNT_BITS +: COUNT_BITS] = k6;
        assign counted_next[n*(COUNT_BITS+1) +: COUNT_BITS+1] = {silenced6, c_next[COUNT_BITS-1:0]};
        assign errors_next[n*COUNT_BITS +: COUNT_BITS] = E_next[COUNT_BITS-1:0];
        // Drive that nothing was added to yet becomes 0, for who reads it afterwards.
        always_ff @(posedge clk) left[n*LEFT_BITS +: LEFT_BITS] <= is_error || is_target ? left6 : '0;
        assign firsts[n*COUNT_BITS +: COUNT_BITS] = is_error ? e6 : k6;
        assign seconds[n*COUNT_BITS +: COUNT_BITS] = is_output ? e6 : c_next[COUNT_BITS-1:0];
        assign is_listed[n] = !is_target && (is_error ? e6 != 0
            : is_output ? k6 != 0 || e6 != 0 : c_next[COUNT_BITS-1:0] != 0);
        assign is_wrong[n] = E_next[COUNT_BITS-1:0] != 0;
        assign is_bad[n] = bad6 || (!is_error && !is_target && c_next[COUNT_BITS] != c_next[COUNT_BITS-1])
            || (learns && !is_target && E_next[COUNT_BITS] != E_next[COUNT_BITS-1]);
    end endgenerate
    logic writes;  // what was loaded a clock before
    always_ff @(posedge clk) begin
        writes <= loads;
        sum_write <= loads && (is_error || is_target || is_fresh);
        sum_write_at <= sums_to + word_at[6];
    end

    // ---- listing -----------------------------------------------------------------------------------
    logic [P*COUNT_BITS-1:0] first_of, second_of;
    number word_of;
    logic [LANE_BITS:0] lane_of;
    wire [P-1:0] lowest = waits & (~waits + 1'b1), rest = waits & ~lowest;
    wire many = (rest & (rest - 1'b1)) != 0;
    always_comb begin
        lane_of = 0;
        for (int i = 0; i < P; i = i + 1) if (lowest[i]) lane_of = lane_of | (LANE_BITS+1)'(i);
    end
    wire [COUNT_BITS-1:0] sent = is_output ? listed_count : spikes;
    assign magnitude = sent[COUNT_BITS-1] ? -sent : sent;
    assign busy = go || begins || runs || writes || valid != 0 || waits != 0 || lists;
    always_ff @(posedge clk) begin
        advances <= rst || (!loads && !many);
        waits <= loads ? is_listed : rest;
        if (loads) begin first_of <= firsts; second_of <= seconds; word_of <= word_at[6]; end
        lists <= waits != 0;
        listed_unit <= (word_of << LANE_BITS) | number'(lane_of);
        spikes <= first_of[lane_of*COUNT_BITS +: COUNT_BITS];
        listed_count <= second_of[lane_of*COUNT_BITS +: COUNT_BITS];
        lists_word <= sums_errors && is_wrong != 0;
        listed_word <= word_at[6];
        overflow <= loads && is_bad != 0;
        if (rst) begin waits <= 0; lists <= 0; end
    end
endmodule
