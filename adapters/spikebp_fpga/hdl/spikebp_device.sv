// The core behind a serial line: frames of ten bytes come in, and replies of six bytes go out.
//
// A frame is an operation, an index of three bytes and a number of six, each with the lowest byte first.
// Operations 0 to 4 are the tokens of the core: the index is a unit, the number a value. READ (5) and
// WRITE (6) are for its memories: bit 3 of the first byte says which (0 weights, 1 sums), bits 23 to 19 of
// the index which lane, and the others where.
//
// READ replies with the number that it reads. STEP, CLOSE and DROP reply when they are done: bit 0 is 1
// if the last sample that was closed was refused, bit 1 if a byte was lost, or a frame has an operation, a
// place or a number that does not exist here. Then no frame does anything until a reset. Who waits for
// replies loses no byte: between two frames there is time for all that has none.
module spikebp_device #(
    parameter DIVIDER = 25  // clocks of a bit
) (
    input  logic clk, rst, receives,
    output logic transmits, rests, refused
);
    localparam [2:0] STEP = 2, DROP = 4, READ = 5, WRITE = 6;
    localparam CLOCK_BITS = $clog2(DIVIDER + 1);
    localparam [CLOCK_BITS-1:0] BIT = CLOCK_BITS'(DIVIDER - 1), HALF_BIT = CLOCK_BITS'(DIVIDER / 2);

    // ---- a byte comes: a bit that is 0, eight of the byte, and one that is 1; ten make a frame ---------
    logic [2:0] line;
    logic [CLOCK_BITS-1:0] in_clock;
    logic [3:0] in_bit, n_bytes;  // 0 while nothing comes
    logic [79:0] frame;
    logic is_lost, is_used;
    wire has_frame = n_bytes == 10;
    always_ff @(posedge clk) begin
        line <= {line[1:0], receives};
        in_clock <= in_bit == 0 ? HALF_BIT : in_clock == 0 ? BIT : in_clock - 1'b1;
        if (is_used) n_bytes <= 0;
        if (in_bit == 0) in_bit <= line[2] ? '0 : 4'd1;
        else if (in_clock == 0) begin
            in_bit <= in_bit == 10 || (in_bit == 1 && line[2]) ? '0 : in_bit + 1'b1;  // it was no byte
            if (in_bit > 1 && in_bit < 10) frame <= {line[2], frame[79:1]};
            if (in_bit == 10) n_bytes <= n_bytes + 1'b1;
            if (!line[2] && (in_bit == 10 || (in_bit == 1 && has_frame))) is_lost <= 1;
        end
        if (has_frame && !fits) is_lost <= 1;
        if (rst) begin line <= '1; in_bit <= 0; n_bytes <= 0; is_lost <= 0; end
    end

    // ---- frames ------------------------------------------------------------------------------------
    logic is_given;     // the token of this frame
    logic [2:0] waits;  // clocks until the number that is read has come
    logic token_ready;
    sum host_out;
    wire [2:0] token = frame[2:0];
    wire is_memory = token == READ || token == WRITE, is_sums = frame[3];
    wire sum value = SUM_BITS'(frame[79:32]);
    wire fits_weight = value == SUM_BITS'($signed(value[WEIGHT_BITS-1:0]));
    wire fits = frame[79:32] == 48'(value) && (is_memory
        ? frame[7:4] == 0 && 32'(frame[31:27]) >> LANE_BITS == 0 && 32'(frame[26:8]) >> NUMBER_BITS == 0
            && (is_sums || fits_weight)
        : token <= DROP && frame[7:3] == 0 && 32'(frame[31:8]) >> NUMBER_BITS == 0);
    wire is_sound = has_frame && fits && !is_lost;
    wire token_valid = is_sound && !is_memory && !is_given;
    spikebp_core core (.clk, .rst, .network(NETWORK), .token_valid, .token, .token_unit(number'(frame[31:8])),
        .token_value(value), .token_ready, .rests, .refused, .host_write(is_sound && token == WRITE),
        .is_sums, .host_lane((LANE_BITS+1)'(frame[31:27])), .host_at(number'(frame[26:8])), .host_in(value),
        .host_out, .sends(), .sends_back(), .l(), .listed_unit(), .spikes(), .sent_on());
    wire is_answered = token >= STEP && token != WRITE;
    wire is_done = token == WRITE ? rests : token == READ ? waits == 7 : is_given && (rests || !is_answered);
    assign is_used = has_frame && !replies && (!is_sound || is_done);
    always_ff @(posedge clk) begin
        is_given <= !rst && !is_used && (is_given || (token_valid && token_ready));
        waits <= has_frame && token == READ && rests && !is_used ? waits + 1'b1 : '0;
    end

    // ---- a reply goes: six bytes, each between a bit that is 0 and one that is 1 -----------------------
    logic [CLOCK_BITS-1:0] out_clock;
    logic [5:0] bits_left;
    logic [59:0] reply, next_reply;
    wire replies = bits_left != 0;
    wire [47:0] answer = token == READ && is_sound ? 48'(host_out) : {46'b0, !is_sound, refused};
    always_comb for (int i = 0; i < 6; i = i + 1) next_reply[10*i +: 10] = {1'b1, answer[8*i +: 8], 1'b0};
    always_ff @(posedge clk) begin
        transmits <= !replies || reply[0];
        out_clock <= !replies || out_clock == 0 ? BIT : out_clock - 1'b1;
        if (is_used && is_answered) begin
            reply <= next_reply; bits_left <= 60;
        end else if (replies && out_clock == 0) begin
            reply <= reply >> 1; bits_left <= bits_left - 1'b1;
        end
        if (rst) begin bits_left <= 0; transmits <= 1; end
    end
endmodule
