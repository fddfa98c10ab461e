// The core behind a serial line: frames of ten bytes come in, and replies of six bytes go out.
//
// A frame is an operation, an index of three bytes and a number of six, each with the lowest byte first.
// Operations 0 to 5 are the tokens of the core: the index is a unit, the number a value. READ (6) and
// WRITE (7) are for its memories: bit 3 of the first byte says which (0 weights, 1 sums), bits 23 to 19 of
// the index which lane, and the others where.
//
// READ replies with the number that it reads. STEP, CLOSE and DROP reply when they are done: bit 0 is 1
// if the last sample that was closed was refused, bit 1 if a byte was lost, or a frame has an operation, a
// place or a number that does not exist here. Then no frame does anything until a reset. So who waits for
// replies, and has at most `2^FIFO_BITS` bytes under way, loses none.
module spikebp_serial #(
    parameter DIVIDER = 25,  // clocks of a bit
    parameter FIFO_BITS = 11,
    parameter NUMBER_BITS = 16, WEIGHT_BITS = 24, SUM_BITS = 40, LANE_BITS = 3
) (
    input  logic clk, rst,
    input  logic receives,
    output logic transmits,
    output logic token_valid,
    output logic [2:0] token,
    output logic [NUMBER_BITS-1:0] token_unit,
    output logic signed [SUM_BITS-1:0] token_value,
    input  logic token_ready, rests, refused,
    output logic host_write,
    output logic is_sums,
    output logic [LANE_BITS:0] host_lane,
    output logic [NUMBER_BITS-1:0] host_at,
    output logic signed [SUM_BITS-1:0] host_in,
    input  logic signed [SUM_BITS-1:0] host_out
);
    localparam [2:0] STEP = 3, READ = 6, WRITE = 7;
    localparam CLOCK_BITS = $clog2(DIVIDER + 1);
    localparam [CLOCK_BITS-1:0] BIT = CLOCK_BITS'(DIVIDER - 1), HALF_BIT = CLOCK_BITS'(DIVIDER / 2);

    // ---- a byte comes: a bit that is 0, eight of the byte, and one that is 1 ---------------------------
    logic [2:0] line;
    logic [CLOCK_BITS-1:0] in_clock;
    logic [3:0] in_bit;  // 0 while nothing comes
    logic [7:0] in_byte;
    logic has_byte, is_lost;
    always_ff @(posedge clk) begin
        line <= {line[1:0], receives};
        has_byte <= 0;
        if (in_bit == 0) begin
            in_clock <= HALF_BIT;
            if (!line[2]) in_bit <= 1;
        end else if (in_clock != 0) in_clock <= in_clock - 1'b1;
        else begin
            in_clock <= BIT;
            in_bit <= in_bit + 1'b1;
            in_byte <= {line[2], in_byte[7:1]};
            if (in_bit == 1 && line[2]) in_bit <= 0;  // it was no byte
            if (in_bit == 10) begin
                in_bit <= 0; in_byte <= in_byte;
                if (line[2]) has_byte <= 1;
                else is_lost <= 1;
            end
        end
        if ((has_byte && is_full) || (has_frame && !fits)) is_lost <= 1;
        if (rst) begin line <= '1; in_bit <= 0; has_byte <= 0; is_lost <= 0; end
    end

    // ---- bytes wait, and become frames -----------------------------------------------------------------
    logic [FIFO_BITS:0] written, read;
    logic [7:0] next_byte;
    wire is_full = written - read == {1'b1, {FIFO_BITS{1'b0}}};
    spikebp_memory #(.WIDTH(8), .DEPTH(1 << FIFO_BITS), .NUMBER_BITS(FIFO_BITS)) bytes (.clk,
        .write(has_byte && !is_full), .write_at(written[FIFO_BITS-1:0]), .word_in(in_byte),
        .read(1'b1), .read_at(read[FIFO_BITS-1:0]), .word_out(next_byte));
    logic [79:0] frame;
    logic [3:0] n_bytes;
    logic asks, is_used;
    wire has_frame = n_bytes == 10;
    always_ff @(posedge clk) begin
        if (has_byte && !is_full) written <= written + 1'b1;
        asks <= !asks && !has_frame && read != written;
        if (asks) begin
            frame <= {next_byte, frame[79:8]};
            n_bytes <= n_bytes + 1'b1; read <= read + 1'b1;
        end
        if (is_used) n_bytes <= 0;
        if (rst) begin written <= 0; read <= 0; n_bytes <= 0; asks <= 0; end
    end

    // ---- frames ------------------------------------------------------------------------------------
    logic is_given, replies;  // the token of this frame; a reply goes out
    logic [2:0] waits;        // clocks until the number that is read has come
    wire is_memory = token == READ || token == WRITE;
    assign token = frame[2:0];
    assign token_unit = NUMBER_BITS'(frame[31:8]);
    assign token_value = SUM_BITS'(frame[79:32]);
    wire fits_weight = token_value == SUM_BITS'($signed(token_value[WEIGHT_BITS-1:0]));
    wire fits = frame[79:32] == 48'(token_value) && (is_memory
        ? frame[7:4] == 0 && 32'(frame[31:27]) >> LANE_BITS == 0 && 32'(frame[26:8]) >> NUMBER_BITS == 0
            && (is_sums || fits_weight)
        : frame[7:3] == 0 && 32'(frame[31:8]) >> NUMBER_BITS == 0);
    wire is_sound = has_frame && fits && !is_lost;
    assign token_valid = is_sound && !is_memory && !is_given;
    assign host_write = is_sound && token == WRITE && rests;
    assign is_sums = frame[3];
    assign host_lane = (LANE_BITS+1)'(frame[31:27]);
    assign host_at = NUMBER_BITS'(frame[26:8]);
    assign host_in = token_value;
    logic [47:0] reply;
    logic begins_reply;
    always_comb begin
        is_used = 0; begins_reply = 0;
        if (has_frame && !replies) begin
            if (!is_sound) begin is_used = 1; begins_reply = token >= STEP && token != WRITE; end
            else if (token == WRITE) is_used = rests;
            else if (token == READ) begin is_used = waits == 7; begins_reply = is_used; end
            else if (token < STEP) is_used = is_given;
            else begin is_used = is_given && rests; begins_reply = is_used; end
        end
    end
    always_ff @(posedge clk) begin
        if (token_valid && token_ready) is_given <= 1;
        waits <= has_frame && token == READ && rests && !is_used ? waits + 1'b1 : '0;
        if (is_used) is_given <= 0;
        if (rst) is_given <= 0;
    end

    // ---- a reply goes: six bytes -------------------------------------------------------------------
    logic [CLOCK_BITS-1:0] out_clock;
    logic [3:0] out_bit;
    logic [2:0] out_byte;
    always_ff @(posedge clk) begin
        transmits <= !replies || out_bit == 9 || (out_bit != 0 && reply[0]);
        if (begins_reply) begin
            reply <= token == READ && is_sound ? 48'(host_out) : {46'b0, !is_sound, refused};
            replies <= 1; out_bit <= 0; out_byte <= 0; out_clock <= BIT;
        end else if (replies) begin
            out_clock <= out_clock == 0 ? BIT : out_clock - 1'b1;
            if (out_clock == 0) begin
                out_bit <= out_bit == 9 ? '0 : out_bit + 1'b1;
                if (out_bit != 0 && out_bit != 9) reply <= reply >> 1;
                if (out_bit == 9) begin
                    out_byte <= out_byte + 1'b1;
                    if (out_byte == 5) replies <= 0;
                end
            end
        end
        if (rst) begin replies <= 0; transmits <= 1; end
    end
endmodule
