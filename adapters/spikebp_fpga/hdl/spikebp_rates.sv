// Rule 5: the rate of an update, and where counts, errors and gains are cut off.
//
// With update="normalized" the rate of W_l is r_l = max(1, floor(R_l / N_l)), where N_l is added_l
// plus the sum of c^2 over the units below. With a fixed rate r and bounded=True, W_l does not learn
// if r times that sum is above the largest gain G: just then floor(G / sum) is below r, and the rate
// is 0. So both take a division, one bit of the quotient a clock.
//
// A limit is `least`, or `each` times the steps of the sample so far if that is more. Where nothing
// is cut off, `least` is what no number passes.
module spikebp_rates #(
    parameter COUNT_BITS = 12,
    parameter RATE_BITS = 17,
    parameter SQUARE_BITS = 34,
    parameter DIVIDEND_BITS = 24
) (
    input  logic clk,
    input  logic rst,
    // limits
    input  logic opens,  // a sample
    input  logic steps,  // it has one more step
    input  logic [COUNT_BITS-2:0] count_least, count_each, error_least, error_each,
    input  logic [DIVIDEND_BITS-1:0] gain_least, gain_each,
    output logic [COUNT_BITS-2:0] count_limit, output_error_limit,
    // the squared counts of a connection
    input  logic clears,
    input  logic adds,
    input  logic signed [COUNT_BITS-1:0] count,  // already cut off
    // its rate
    input  logic go,
    input  logic divides_rate, limits_gain,
    input  logic [DIVIDEND_BITS-1:0] given_rate,  // R_l, or r
    input  logic [SQUARE_BITS-1:0] added,
    output logic busy,
    output logic [RATE_BITS-1:0] rate
);
    // ---- limits: `each` times the steps, which stops at what no number passes -----------------------
    logic [COUNT_BITS-1:0] count_grown, error_grown;
    logic [DIVIDEND_BITS:0] gain_grown;
    wire [COUNT_BITS-1:0] count_next = {1'b0, count_grown[COUNT_BITS-2:0]} + {1'b0, count_each};
    wire [COUNT_BITS-1:0] error_next = {1'b0, error_grown[COUNT_BITS-2:0]} + {1'b0, error_each};
    wire [DIVIDEND_BITS:0] gain_next = {1'b0, gain_grown[DIVIDEND_BITS-1:0]} + {1'b0, gain_each};
    localparam [COUNT_BITS-1:0] MOST = {1'b0, {(COUNT_BITS-1){1'b1}}};
    logic [DIVIDEND_BITS-1:0] gain_limit;
    always_ff @(posedge clk) begin
        if (opens) begin
            count_grown <= 0; error_grown <= 0; gain_grown <= 0;
        end else if (steps) begin
            count_grown <= count_next[COUNT_BITS-1] ? MOST : count_next;
            error_grown <= error_next[COUNT_BITS-1] ? MOST : error_next;
            gain_grown <= gain_next[DIVIDEND_BITS] ? {1'b0, {DIVIDEND_BITS{1'b1}}} : gain_next;
        end
        count_limit <= count_grown[COUNT_BITS-2:0] > count_least
            ? count_grown[COUNT_BITS-2:0] : count_least;
        output_error_limit <= error_grown[COUNT_BITS-2:0] > error_least
            ? error_grown[COUNT_BITS-2:0] : error_least;
        gain_limit <= gain_grown[DIVIDEND_BITS-1:0] > gain_least
            ? gain_grown[DIVIDEND_BITS-1:0] : gain_least;
    end

    // ---- squares ---------------------------------------------------------------------------------
    logic adds_square;
    logic [2*COUNT_BITS-1:0] square;
    logic [SQUARE_BITS-1:0] squares;
    wire signed [2*COUNT_BITS-1:0] count_squared = count * count;
    always_ff @(posedge clk) begin
        adds_square <= adds; square <= count_squared;
        if (clears) squares <= 0;
        else if (adds_square) squares <= squares + SQUARE_BITS'(square);
    end

    // ---- division --------------------------------------------------------------------------------
    localparam STEP_BITS = $clog2(DIVIDEND_BITS + 1);
    logic loads, divides, ends;
    logic [STEP_BITS-1:0] bits_left;
    logic [DIVIDEND_BITS-1:0] quotient;  // the dividend moves out as the quotient moves in
    logic [SQUARE_BITS:0] rest;
    logic [SQUARE_BITS-1:0] divisor;
    wire [SQUARE_BITS:0] rest_next = {rest[SQUARE_BITS-1:0], quotient[DIVIDEND_BITS-1]};
    wire fits = rest_next >= {1'b0, divisor};
    assign busy = go || loads || divides || ends;
    always_ff @(posedge clk) begin
        loads <= go; ends <= 0;
        if (loads) begin
            divisor <= divides_rate ? squares + added : squares;
            quotient <= divides_rate ? given_rate : gain_limit;
            rest <= 0; bits_left <= STEP_BITS'(DIVIDEND_BITS);
            divides <= divides_rate || limits_gain; ends <= !divides_rate && !limits_gain;
        end else if (divides) begin
            rest <= fits ? rest_next - {1'b0, divisor} : rest_next;
            quotient <= {quotient[DIVIDEND_BITS-2:0], fits};
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
