// Rule 5: the rate of an update, and where counts, errors and gains are cut off.
//
// With update="normalized" the rate of W_l is r_l = max(1, floor(R_l / N_l)), where N_l is added_l
// plus the sum of c^2 over the units below. With a fixed rate r and bounded=True, W_l does not learn
// if r times that sum is above the largest gain G: just then floor(G / sum) is below r, and the rate
// is 0. So both take a division, one bit of the quotient a clock.
//
// A limit is `least`, or `each` times the steps of the sample so far if that is more. Where nothing
// is cut off, `least` is the largest number of its bits. There are three: of counts, of errors of the
// output, and of the gain.
module spikebp_rates (
    input  logic clk, rst,
    input  logic opens, steps,  // a sample opens, it has one more step
    input  logic [3*LIMIT_BITS-1:0] least, each,
    output logic [COUNT_BITS-2:0] count_limit, error_limit,
    // the squared counts of a connection, which were cut off before
    input  logic clears, adds,
    input  count cut_count,
    // its rate, of a given R_l or r
    input  logic go, divides_rate, limits_gain,
    input  logic [LIMIT_BITS-1:0] given_rate,
    input  logic [SQUARE_BITS-1:0] added,
    output logic busy,
    output logic [RATE_BITS-1:0] rate
);
    // ---- limits: `each` times the steps, which stops at the largest number -------------------------
    logic [2:0][LIMIT_BITS-1:0] limits;
    genvar n;
    generate for (n = 0; n < 3; n = n + 1) begin : limit
        logic [LIMIT_BITS-1:0] grown;
        wire [LIMIT_BITS-1:0] fixed = least[n*LIMIT_BITS +: LIMIT_BITS];
        wire [LIMIT_BITS:0] next = {1'b0, grown} + {1'b0, each[n*LIMIT_BITS +: LIMIT_BITS]};
        always_ff @(posedge clk) begin
            if (rst || opens) grown <= 0;
            else if (steps) grown <= next[LIMIT_BITS] ? '1 : next[LIMIT_BITS-1:0];
            limits[n] <= grown > fixed ? grown : fixed;
        end
    end endgenerate
    always_ff @(posedge clk) begin
        count_limit <= limits[0] >> (COUNT_BITS - 1) != 0 ? '1 : limits[0][COUNT_BITS-2:0];
        error_limit <= limits[1] >> (COUNT_BITS - 1) != 0 ? '1 : limits[1][COUNT_BITS-2:0];
    end

    // ---- squares ---------------------------------------------------------------------------------
    logic adds_square;
    logic [2*COUNT_BITS-1:0] square;
    logic [SQUARE_BITS-1:0] squares;
    wire signed [2*COUNT_BITS-1:0] count_squared = cut_count * cut_count;
    always_ff @(posedge clk) begin
        adds_square <= adds; square <= count_squared;
        if (clears) squares <= 0;
        else if (adds_square) squares <= squares + SQUARE_BITS'(square);
    end

    // ---- division --------------------------------------------------------------------------------
    localparam STEP_BITS = $clog2(LIMIT_BITS + 1);
    logic loads, divides, ends;
    logic [STEP_BITS-1:0] bits_left;
    logic [LIMIT_BITS-1:0] quotient;  // the dividend moves out as the quotient moves in
    logic [SQUARE_BITS:0] rest;
    logic [SQUARE_BITS-1:0] divisor;
    wire [SQUARE_BITS:0] rest_next = {rest[SQUARE_BITS-1:0], quotient[LIMIT_BITS-1]};
    wire fits = rest_next >= {1'b0, divisor};
    assign busy = go || loads || divides || ends;
    always_ff @(posedge clk) begin
        loads <= go; ends <= 0;
        if (loads) begin
            divisor <= divides_rate ? squares + added : squares;
            quotient <= divides_rate ? given_rate : limits[2];
            rest <= 0; bits_left <= STEP_BITS'(LIMIT_BITS);
            divides <= divides_rate || limits_gain; ends <= !divides_rate && !limits_gain;
        end else if (divides) begin
            rest <= fits ? rest_next - {1'b0, divisor} : rest_next;
            quotient <= {quotient[LIMIT_BITS-2:0], fits};
            bits_left <= bits_left - 1'b1;
            if (bits_left == 1) begin divides <= 0; ends <= 1; end
        end
        if (ends) begin
            if (divides_rate) rate <= quotient == 0 ? RATE_BITS'(1) : quotient[RATE_BITS-1:0];
            else rate <= limits_gain && quotient < given_rate ? '0 : given_rate[RATE_BITS-1:0];
        end
        if (rst) begin loads <= 0; divides <= 0; ends <= 0; end
    end
endmodule
