// The products of a pass: lists of units meet the weights of one connection, P in a clock.
//
// Rule 2, forward:   d_j   = sum of k_i W_ij is added to the summed drive s_j, for each i that spikes.
// Rule 4, backward:  psi_i gets the sum of e_j W_ij, for each j with an error.
// Rule 5, update:    W_ij -= (r c_i) e_j, for each i that has spiked and each word of j with an error.
//                    `undoes` adds the same: modulo 2^WEIGHT_BITS that takes the update back.
// Rule 5, squares:   only the counts c_i are read, for the rate.
//
// Weight (i, j) lies in bank (i + j) mod P, at address tile(i / P, j / P) * P + i mod P. So P weights of
// a row lie in P banks at one address, and P of a column in P banks at addresses that differ in their
// lowest bits: both take a clock. Lane n has unit n of a word of P units, and rotation brings it there.
//
// Stages: 0 asks the lists, 1 has what they say, 4 the address and the factor that all lanes share,
// 6 weights, 7 turned to their lanes, 10 products, 11 sums or new weights, 12 these turned to banks.
// A sum that the next three products need is taken from stages 11 to 13.
module spikebp_products (
    input  logic clk, rst,
    // the pass: `go` begins it, what it reads is valid from the next clock on, entries from the second
    input  logic go,
    input  logic streams, still_come,  // entries come while it runs, and are counted modulo 32
    input  logic is_backward, updates, undoes, squares,
    input  number entries, words, row_words, tiles_at,
    input  number sums_from, sums_to,  // the first entry adds to what is at sums_from
    input  logic is_fresh,             // what the sums hold is of another sample
    input  logic [COUNT_BITS-2:0] count_limit, error_limit,
    input  logic [RATE_BITS-1:0] rate,
    output logic busy, runs, in_use, has_no_entry,  // in_use: memories, and not for who else may
    output logic overflow,
    // lists: entries {unit, number}, and words of errors, all one clock after they are asked for
    output number entry, word, errors_of,
    input  logic [NUMBER_BITS+COUNT_BITS-1:0] listed,
    input  number error_word,
    input  logic [P*COUNT_BITS-1:0] errors,
    // counts that were cut off, for the rate
    output logic has_count,
    output count cut_count,
    // sums for the quantizers, in their passes
    input  logic sum_read, sum_write,
    input  number sum_read_at, sum_write_at,
    input  logic [P*LEFT_BITS-1:0] left,
    output logic [P*SUM_BITS-1:0] sums,
    // weights and sums for the host, in the pass of the input
    input  logic host_write, is_sums,
    input  logic [LANE_BITS:0] host_lane,
    input  number host_at,
    input  sum host_in,
    output sum host_out
);
    localparam FACTOR_BITS = 18;  // of the number that all lanes multiply with: r c, k or e
    localparam FACTOR4_BITS = RATE_BITS + COUNT_BITS + 1;
    localparam PRODUCT_BITS = WEIGHT_BITS + FACTOR_BITS;
    localparam CHANGED_BITS = PRODUCT_BITS + 1;
    localparam [NUMBER_BITS-1:0] LANES = P - 1;

    // The largest limit is none: there is one negative number beyond it.
    function automatic count cut(input count n, input [COUNT_BITS-2:0] limit);
        cut = &limit ? n : n > $signed({1'b0, limit}) ? $signed({1'b0, limit})
            : n < -$signed({1'b0, limit}) ? -$signed({1'b0, limit}) : n;
    endfunction

    // ---- which entry, and which word of its row or column ----------------------------------------
    logic begins, has_words;
    number last_entry, last_word;
    logic [12:1] valid;
    wire more = streams ? entry[4:0] != last_entry[4:0] : entry != last_entry;
    wire issues = runs && more && has_words;
    wire row_ends = word == last_word;
    assign busy = go || begins || runs || valid != 0;
    always_ff @(posedge clk) begin
        valid <= {valid[11:1], issues};
        in_use <= !rst && (issues || valid[11:1] != 0);
        begins <= go;
        last_entry <= entries; last_word <= words - 1'b1; has_words <= words != 0;
        if (begins) begin
            runs <= 1; entry <= 0; word <= 0; has_no_entry <= 1;
        end else if (issues) begin
            word <= row_ends ? '0 : word + 1'b1;
            if (row_ends) begin entry <= entry + 1'b1; has_no_entry <= 0; end
        end else if (!still_come) runs <= 0;
        if (rst) begin begins <= 0; runs <= 0; valid <= 0; end
    end

    // ---- stages 1 to 5: the address, and the factor ------------------------------------------------
    logic [10:1][NUMBER_BITS-1:0] word_at;
    logic [11:2][NUMBER_BITS-1:0] unit;
    logic signed [4:2][COUNT_BITS-1:0] sent;
    count cut3;
    number tile_row, tile;
    logic signed [FACTOR4_BITS-1:0] factor4;
    logic signed [8:5][FACTOR_BITS-1:0] factor;
    logic [12:5][NUMBER_BITS-1:0] row_at;
    logic [12:8][NUMBER_BITS-1:0] sum_at;
    number read_sum_at8;
    logic [9:1] first;
    logic is_fresh10, factor_overflows;
    wire in_rows = updates || squares;
    assign errors_of = word_at[2];
    assign has_count = valid[3] && squares;
    assign cut_count = cut3;
    wire number row_of_unit = (tile << LANE_BITS) | number'(unit[4] & LANES);
    always_ff @(posedge clk) begin
        word_at <= {word_at[9:2], updates ? error_word : word_at[1], word};
        unit <= {unit[10:2], listed[COUNT_BITS +: NUMBER_BITS]};
        sent <= {sent[3:2], listed[COUNT_BITS-1:0]};
        tile_row <= (is_backward ? word_at[2] : number'(unit[2] >> LANE_BITS)) * row_words;
        cut3 <= cut(sent[2], count_limit);
        tile <= tiles_at + tile_row + (is_backward ? number'(unit[3] >> LANE_BITS) : word_at[3]);
        factor4 <= $signed({1'b0, rate}) * cut3;
        factor <= {factor[7:5], updates ? factor4[FACTOR_BITS-1:0] : FACTOR_BITS'($signed(sent[4]))};
        factor_overflows <= valid[4] && updates
            && factor4 != FACTOR4_BITS'($signed(factor4[FACTOR_BITS-1:0]));
        row_at <= {row_at[11:5], row_of_unit};
        sum_at <= {sum_at[11:8], sums_to + word_at[7]};
        read_sum_at8 <= (first[7] ? sums_from : sums_to) + word_at[7];
        first <= {first[8:1], has_no_entry};
        is_fresh10 <= is_fresh && first[9];
    end

    // ---- the host ----------------------------------------------------------------------------------
    number host_place;
    sum host_number;
    logic [P-1:0] writes_weight, writes_sum;
    logic [P*WEIGHT_BITS-1:0] weights7, changed12;  // by bank
    always_ff @(posedge clk) begin
        host_place <= host_at; host_number <= host_in;
        writes_weight <= host_write && !is_sums ? P'(1) << host_lane : '0;
        writes_sum <= host_write && is_sums ? P'(1) << host_lane : '0;
        host_out <= is_sums ? sums[host_lane*SUM_BITS +: SUM_BITS]
            : SUM_BITS'($signed(weights7[host_lane*WEIGHT_BITS +: WEIGHT_BITS]));
    end

    // ---- banks -------------------------------------------------------------------------------------
    genvar b, n;
    generate for (b = 0; b < P; b = b + 1) begin : bank
        localparam [7:0] DIGIT = b < 10 ? "0" + b : "a" + (b - 10);
        number read_at5;
        logic [WEIGHT_BITS-1:0] weight6;
        wire number column_at = (tile << LANE_BITS) | ((number'(b) - unit[4]) & LANES);
        spikebp_memory #(.WIDTH(WEIGHT_BITS), .DEPTH(BANK_DEPTH),
            .FILE(IMAGE == "" ? "" : {IMAGE, "weights_", DIGIT, ".hex"})) weight_memory (.clk,
            .write(in_use ? valid[12] && updates : writes_weight[b]),
            .write_at(in_use ? row_at[12] : host_place),
            .word_in(in_use ? changed12[b*WEIGHT_BITS +: WEIGHT_BITS] : host_number[WEIGHT_BITS-1:0]),
            .read(1'b1), .read_at(read_at5), .word_out(weight6));
        always_ff @(posedge clk) begin
            read_at5 <= !in_use ? host_place : is_backward ? column_at : row_of_unit;
            weights7[b*WEIGHT_BITS +: WEIGHT_BITS] <= weight6;
        end
    end endgenerate

    // ---- lanes -------------------------------------------------------------------------------------
    wire [P*CHANGED_BITS-1:0] changed11;
    logic [P-1:0] weight_overflows;
    logic from11, from12, from13;  // where the sum that stage 10 needs still is
    generate for (n = 0; n < P; n = n + 1) begin : lane
        localparam [7:0] DIGIT = n < 10 ? "0" + n : "a" + (n - 10);
        logic signed [WEIGHT_BITS-1:0] factor8, weight8, weight9, weight10;
        logic signed [PRODUCT_BITS-1:0] product10;
        logic signed [CHANGED_BITS-1:0] changed;
        count error4, error5, error6, error7;
        sum sum10, sum11, sum12, sum13;
        wire number from = (number'(n) + unit[7]) & LANES;
        wire number to = (number'(n) - unit[11]) & LANES;
        wire signed [WEIGHT_BITS-1:0] turned7 = weights7[from*WEIGHT_BITS +: WEIGHT_BITS];
        wire signed [CHANGED_BITS-1:0] turned11 = changed11[to*CHANGED_BITS +: CHANGED_BITS];
        wire sum sum_now = is_fresh10 ? '0 : from11 ? sum11 : from12 ? sum12 : from13 ? sum13 : sum10;
        always_ff @(posedge clk) begin
            error4 <= cut(errors[n*COUNT_BITS +: COUNT_BITS], error_limit);
            error5 <= error4; error6 <= error5; error7 <= error6;
            weight8 <= turned7; weight9 <= weight8; weight10 <= weight9;
            factor8 <= updates ? WEIGHT_BITS'(error7) : turned7;
            changed <= undoes ? CHANGED_BITS'(weight10) + CHANGED_BITS'(product10)
                : CHANGED_BITS'(weight10) - CHANGED_BITS'(product10);
            changed12[n*WEIGHT_BITS +: WEIGHT_BITS] <= turned11[WEIGHT_BITS-1:0];
            // The lowest number has no opposite, so it is no weight.
            weight_overflows[n] <= valid[11] && updates && !undoes
                && (turned11 != CHANGED_BITS'($signed(turned11[WEIGHT_BITS-1:0]))
                    || turned11[WEIGHT_BITS-1:0] == {1'b1, {(WEIGHT_BITS-1){1'b0}}});
            sum10 <= sums[n*SUM_BITS +: SUM_BITS];
            sum11 <= sum_now + SUM_BITS'(product10); sum12 <= sum11; sum13 <= sum12;
        end
        // A multiplier of a chip has 18 bits with a sign: longer weights take two.
        logic signed [PRODUCT_BITS-1:0] high9;
        if (WEIGHT_BITS <= 18) begin : short_weights
            always_ff @(posedge clk) begin
                high9 <= factor8 * $signed(factor[8]);
                product10 <= high9;
            end
        end else begin : long_weights
            logic signed [FACTOR_BITS+17:0] low9;
            always_ff @(posedge clk) begin
                low9 <= $signed({1'b0, factor8[16:0]}) * $signed(factor[8]);
                high9 <= $signed(factor8[WEIGHT_BITS-1:17]) * $signed(factor[8]);
                product10 <= (high9 <<< 17) + PRODUCT_BITS'(low9);
            end
        end
        assign changed11[n*CHANGED_BITS +: CHANGED_BITS] = changed;
        spikebp_memory #(.WIDTH(SUM_BITS), .DEPTH(SUM_DEPTH),
            .FILE(IMAGE == "" ? "" : {IMAGE, "sums_", DIGIT, ".hex"})) sum_memory (.clk,
            .write(in_use ? valid[11] && !in_rows : sum_write || writes_sum[n]),
            .write_at(in_use ? sum_at[11] : streams ? host_place : sum_write_at),
            .word_in(in_use ? sum11 : streams ? host_number
                : SUM_BITS'($signed(left[n*LEFT_BITS +: LEFT_BITS]))),
            .read(in_use || streams || sum_read),
            .read_at(in_use ? read_sum_at8 : streams ? host_place : sum_read_at),
            .word_out(sums[n*SUM_BITS +: SUM_BITS]));
    end endgenerate

    always_ff @(posedge clk) begin
        // Compared a stage ahead: 9 with 10, 11 and 12.
        from11 <= valid[10] && sum_at[10] == sum_at[9];
        from12 <= valid[11] && sum_at[11] == sum_at[9];
        from13 <= valid[12] && sum_at[12] == sum_at[9];
        overflow <= factor_overflows || weight_overflows != 0;
    end
endmodule
