// The widths and depths of one network, which all modules share, and its numbers.
localparam LAYERS = NET_LAYERS;              // records of layers 0..LAYERS, of which L is at most the last
localparam LANE_BITS = NET_LANE_BITS;        // P = 2^LANE_BITS weights a clock
localparam WEIGHT_BITS = NET_WEIGHT_BITS;
localparam COUNT_BITS = NET_COUNT_BITS;      // of k, c, e, E and m
localparam SUM_BITS = NET_SUM_BITS;          // of s, phi, psi and y
localparam LEFT_BITS = NET_LEFT_BITS;        // of psi between samples: fraction bits, and a sign
localparam LIMIT_BITS = NET_LIMIT_BITS;      // of R, and of limits of counts, errors and gains
localparam NUMBER_BITS = NET_NUMBER_BITS;    // of units, places and lengths
localparam INPUTS = NET_INPUTS;              // n_0
localparam UNITS = NET_UNITS;                // n_0 + .. + n_(L-1)
localparam LISTED = NET_LISTED;              // 16 + n_1 + .. + n_L
localparam BANK_DEPTH = NET_BANK_DEPTH;      // P times the tiles of all connections
localparam WORDS = NET_WORDS;                // of layers 1..L, P units each
localparam HIDDEN_WORDS = NET_HIDDEN_WORDS;  // of layers 1..L-1
localparam OUTPUT_WORDS = NET_OUTPUT_WORDS;  // of layer L
localparam SUM_DEPTH = NET_SUM_DEPTH;        // s, psi twice, and potentials of targets
localparam UPDATES = NET_UPDATES;            // updates that can be undone
localparam IMAGE = "NET_IMAGE";              // the folder of what memories begin with; none if empty

localparam P = 1 << LANE_BITS, RATE_BITS = 17, SQUARE_BITS = 2 * COUNT_BITS + NUMBER_BITS;
localparam RECORD_BITS = 7 * NUMBER_BITS + 2 * LIMIT_BITS + SQUARE_BITS;
localparam NETWORK_BITS = (LAYERS + 1) * RECORD_BITS + 6 * LIMIT_BITS + NUMBER_BITS + 14;
localparam [NETWORK_BITS-1:0] NETWORK = NET_NETWORK;  // what `network` of the core is told on a chip
typedef logic [NUMBER_BITS-1:0] number;
typedef logic signed [COUNT_BITS-1:0] count;
typedef logic signed [SUM_BITS-1:0] sum;
