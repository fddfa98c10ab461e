// A memory with a port to write and a port to read, whose word comes in the next clock.
//
// Nobody reads a word in the clock in which it is written: the core uses no such word, or takes it
// from the pipeline. So tools need no logic for that case.
module spikebp_memory #(
    parameter WIDTH = 8, DEPTH = 16,
    parameter FILE = ""  // of hexadecimal words that the memory begins with
) (
    input  logic clk, write, read,
    input  number write_at, read_at,
    input  logic [WIDTH-1:0] word_in,
    output logic [WIDTH-1:0] word_out
);
    localparam AT = DEPTH > 1 ? $clog2(DEPTH) : 1;
    (* no_rw_check *) logic [WIDTH-1:0] words [0:DEPTH-1];
    generate if (FILE != "") begin : image
        initial $readmemh(FILE, words);
    end endgenerate
    always_ff @(posedge clk) begin
        if (write) words[AT'(write_at)] <= word_in;
        if (read) word_out <= words[AT'(read_at)];
    end
endmodule
