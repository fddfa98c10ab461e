// Speaks to the device over its serial line, and compares what it replies and what it has learned.
`timescale 1ns / 1ns
module bench;
    localparam DIVIDER = 4;  // clocks of a bit
    logic clk = 0, rst = 1, receives = 1;
    wire transmits;
    spikebp_device #(.DIVIDER(DIVIDER)) device (
        .clk(clk), .rst(rst), .receives(receives), .transmits(transmits), .rests(), .refused());
    always #5 clk = !clk;

    // Bytes to send. A byte with a ninth bit asks to wait for a reply, which comes in six bytes.
    logic [8:0] bytes [0:NET_BYTES-1];
    logic [47:0] expected [0:NET_REPLIES-1];
    integer n_bytes, n_replies, wrong, i, j, k;
    logic [47:0] reply;
    task bit_time;
        repeat (DIVIDER) @(posedge clk);
    endtask
    task send(input [7:0] data);
        begin
            receives <= 0; bit_time;
            for (j = 0; j < 8; j = j + 1) begin receives <= data[j]; bit_time; end
            receives <= 1; bit_time;
        end
    endtask
    task receive;
        for (k = 0; k < 6; k = k + 1) begin
            while (transmits) @(posedge clk);
            repeat (DIVIDER / 2) @(posedge clk);
            for (j = 0; j < 8; j = j + 1) begin bit_time; reply = {transmits, reply[47:1]}; end
            bit_time;
        end
    endtask

    // What has been learned, in the words of each bank and lane.
    integer wrong_words [0:NET_LANES-1];
    event compare;
    genvar n;
    generate for (n = 0; n < NET_LANES; n = n + 1) begin : lane
        localparam [7:0] DIGIT = n < 10 ? "0" + n : "a" + (n - 10);
        logic [NET_WEIGHT_BITS-1:0] weights [0:NET_WEIGHT_DEPTH-1];
        logic [NET_SUM_BITS-1:0] sums [0:NET_HOST_SUMS-1];
        integer at;
        initial begin
            $readmemh({"learned/weights_", DIGIT, ".hex"}, weights);
            $readmemh({"learned/sums_", DIGIT, ".hex"}, sums, 0, NET_HOST_SUMS - 1);
        end
        always @(compare) begin
            wrong_words[n] = 0;
            for (at = 0; at < NET_WEIGHT_DEPTH; at = at + 1)
                if (device.core.products.bank[n].weight_memory.words[at] !== weights[at])
                    wrong_words[n] = wrong_words[n] + 1;
            for (at = NET_PSI_AT; at < NET_PSI_END; at = at + 1)
                if (device.core.products.lane[n].sum_memory.words[at + (device.core.psi_is_second ? NET_HIDDEN_WORDS : 0)]
                    !== sums[at])
                    wrong_words[n] = wrong_words[n] + 1;
            // What it has learned, as a host reads it.
            $writememh({"dump/weights_", DIGIT, ".hex"}, device.core.products.bank[n].weight_memory.words);
            for (at = NET_PSI_AT; at < NET_HOST_SUMS; at = at + 1) sums[at] =
                device.core.products.lane[n].sum_memory.words[at + (device.core.psi_is_second ? NET_HIDDEN_WORDS : 0)];
            $writememh({"dump/sums_", DIGIT, ".hex"}, sums, 0, NET_HOST_SUMS - 1);
        end
    end endgenerate

    initial begin
        // A chip has some number in a word that was never written. A simulator of four values has none,
        // and would spread that from where an input stands in the sparse set.
        for (i = 0; i < NET_INPUTS; i = i + 1) device.core.places.words[i] = $random;
        $readmemh("bench_bytes.hex", bytes, 0, NET_BYTES - 1);
        $readmemh("bench_replies.hex", expected, 0, NET_REPLIES - 1);
        n_replies = 0; wrong = 0;
        repeat (20) @(posedge clk);
        rst <= 0;
        repeat (20) @(posedge clk);
        for (i = 0; i < NET_BYTES; i = i + 1) begin
            send(bytes[i][7:0]);
            if (bytes[i][8]) begin
                receive;
                if (reply !== expected[n_replies]) begin
                    wrong = wrong + 1;
                    $display("reply %0d is %h; expected %h", n_replies, reply, expected[n_replies]);
                end
                n_replies = n_replies + 1;
            end
        end
        -> compare;
        #1;
        for (i = 0; i < NET_LANES; i = i + 1) wrong = wrong + wrong_words[i];
        $display("%0d replies and %0d words of memory compared: %0d are wrong", n_replies,
            NET_LANES * (NET_WEIGHT_DEPTH + NET_PSI_END - NET_PSI_AT), wrong);
        if (wrong != 0) $fatal(1);
        $finish;
    end
endmodule
