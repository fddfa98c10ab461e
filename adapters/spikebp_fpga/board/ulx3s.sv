// The top of an ULX3S: its crystal of 25 MHz, a faster clock made of it, and the serial line of its USB
// port. The button FIRE 1 resets the core, whose memories keep what they hold.
module ulx3s #(
    parameter MEGAHERTZ = 80,
    parameter BAUD = 3000000
) (
    input  logic clk_25mhz,
    input  logic fire1,
    input  logic ftdi_txd,  // what the computer sends
    output logic ftdi_rxd,
    output logic led_works, led_refused,
    output logic wifi_gpio0  // 1 keeps the other processor of the board from taking over
);
    logic clk, is_locked;
    pll pll (.clkin(clk_25mhz), .clkout0(clk), .locked(is_locked));
    logic [7:0] since_start = 0;
    logic rst = 1, rests;
    always_ff @(posedge clk) begin
        since_start <= !is_locked || fire1 ? '0 : &since_start ? since_start : since_start + 1'b1;
        rst <= !(&since_start);
    end
    spikebp_device #(.DIVIDER((MEGAHERTZ * 1000000 + BAUD / 2) / BAUD)) device (.clk(clk), .rst(rst),
        .receives(ftdi_txd), .transmits(ftdi_rxd), .rests(rests), .refused(led_refused));
    assign led_works = !rests;
    assign wifi_gpio0 = 1;
endmodule
