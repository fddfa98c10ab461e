// A memory with a port to write and a port to read, whose word comes in the next clock.
//
// Nobody reads a word in the clock in which it is written: the core uses no such word, or takes it
// from the pipeline. So tools need no logic for that case.
module spikebp_memory #(
    parameter WIDTH = 8, DEPTH = 16, NUMBER_BITS = 16,
    parameter IMAGE = ""  // a file of hexadecimal words that the memory begins with
) (
    input  logic clk,
    input  logic write,
    input  logic [NUMBER_BITS-1:0] write_at,
    input  logic [WIDTH-1:0] word_in,
    input  logic read,
    input  logic [NUMBER_BITS-1:0] read_at,
    output logic [WIDTH-1:0] word_out
);
    localparam AT = DEPTH > 1 ? $clog2(DEPTH) : 1;
    (* no_rw_check *) logic [WIDTH-1:0] words [0:DEPTH-1];
    generate if (IMAGE != "") begin : image
        initial $readmemh(IMAGE, words);
    end
`ifdef SPIKEBP_RANDOM_MEMORY
    // A chip has some number in a word that was never written. A simulator of four values has none, and
    // would spread that, for example from where an input stands in the sparse set.
    else begin : random
        integer n;
        initial for (n = 0; n < DEPTH; n = n + 1) words[n] = {(WIDTH + 31) / 32{$random}};
    end
`endif
    endgenerate
    always_ff @(posedge clk) begin
        if (write) words[AT'(write_at)] <= word_in;
        if (read) word_out <= words[AT'(read_at)];
    end
endmodule
