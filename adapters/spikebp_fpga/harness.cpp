// Runs the core, clock by clock, for Python: see verilated.py, which compiles it with what Verilator
// makes of the core. All numbers are 64 bits wide here.
#include "Vspikebp_core.h"
#include "verilated.h"

#include <cstdint>
#include <cstring>

namespace {

enum { SPIKE, TARGET, STEP, CLOSE, DROP };

// Bits of the ports: Python knows them.
struct Widths {
    int64_t sum, count;
};

struct Simulation {
    VerilatedContext context;
    Vspikebp_core core;
    Widths widths;
    int64_t *clocks = nullptr;  // of a sample
    uint64_t stalls = 0;     // a generator of clocks in which no token comes, if not 0
    int64_t *events = nullptr;
    int64_t n_events = 0, most_events = 0, step = 0;

    explicit Simulation(Widths given) : core(&context), widths(given) {}
};

uint64_t bits(int64_t number, int64_t width) {
    return static_cast<uint64_t>(number) & ((UINT64_C(1) << width) - 1);
}

int64_t number(uint64_t bits, int64_t width) {
    return static_cast<int64_t>(bits << (64 - width)) >> (64 - width);
}

// One clock; what units send in it is noted as step, layer, unit, spikes and error.
void tick(Simulation *s) {
    Vspikebp_core &core = s->core;
    core.clk = 0;
    core.eval();
    if ((core.sends || core.sends_back) && s->n_events < s->most_events) {
        int64_t *event = s->events + 5 * s->n_events++;
        event[0] = s->step;
        event[1] = core.l;
        event[2] = core.listed_unit;
        event[3] = core.sends ? number(core.spikes, s->widths.count) : 0;
        event[4] = core.sends_back ? number(core.sent_on, s->widths.count) : 0;
    }
    if (s->clocks) ++*s->clocks;
    core.clk = 1;
    core.eval();
}

void rest(Simulation *s) {
    do tick(s); while (!s->core.rests);
}

bool comes(Simulation *s) {
    if (s->stalls == 0) return true;
    s->stalls = s->stalls * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (s->stalls >> 60) < 4;
}

}  // namespace

extern "C" {

Simulation *open_core(int64_t sum_bits, int64_t count_bits) {
    auto *s = new Simulation({sum_bits, count_bits});
    // Memories and registers begin with anything, as those of a chip do.
    s->context.randReset(2);
    s->context.randSeed(1);
    return s;
}

void close_core(Simulation *s) {
    s->core.final();
    delete s;
}

// What differs between networks; the highest bytes may be missing, which are 0.
void set_network(Simulation *s, int64_t n, const void *bytes) {
    Vspikebp_core &core = s->core;
    std::memset(&core.network, 0, sizeof core.network);
    std::memcpy(&core.network, bytes, n);
    core.rst = 1;
    core.token_valid = core.host_write = 0;
    for (int i = 0; i < 32; i++) tick(s);
    core.rst = 0;
    rest(s);
}

void write_words(Simulation *s, int64_t memory, int64_t n, const int64_t *lanes, const int64_t *places,
                 const int64_t *numbers) {
    Vspikebp_core &core = s->core;
    core.is_sums = memory;
    core.host_write = 1;
    for (int64_t i = 0; i < n; i++) {
        core.host_lane = lanes[i];
        core.host_at = places[i];
        core.host_in = bits(numbers[i], s->widths.sum);
        tick(s);
    }
    core.host_write = 0;
    tick(s);
}

void read_words(Simulation *s, int64_t memory, int64_t n, const int64_t *lanes, const int64_t *places,
                int64_t *numbers) {
    Vspikebp_core &core = s->core;
    core.is_sums = memory;
    for (int64_t i = 0; i < n; i++) {
        core.host_lane = lanes[i];
        core.host_at = places[i];
        for (int wait = 0; wait < 5; wait++) tick(s);
        numbers[i] = number(core.host_out, s->widths.sum);
    }
}

// Gives tokens to the core until one ends a step or the sample, and rests then. Returns how many it took.
int64_t give_tokens(Simulation *s, int64_t n, const int64_t *tokens) {
    Vspikebp_core &core = s->core;
    int64_t taken = 0;
    bool ends = false;
    while (taken < n && !ends) {
        const int64_t *token = tokens + 3 * taken;
        core.token_valid = comes(s);
        core.token = token[0];
        core.token_unit = token[1];
        core.token_value = bits(token[2], s->widths.sum);
        core.clk = 0;
        core.eval();
        if (core.token_valid && core.token_ready) {
            taken++;
            ends = token[0] >= STEP;
        }
        tick(s);
    }
    core.token_valid = 0;
    while (!core.rests) tick(s);
    return taken;
}

// Tokens of any kind, outside `show_sample`. Returns whether the last sample that was closed fitted.
int64_t show_tokens(Simulation *s, int64_t n, const int64_t *tokens) {
    int64_t taken = 0;
    while (taken < n) taken += give_tokens(s, n - taken, tokens + 3 * taken);
    return !s->core.refused;
}

// One sample. Tokens of all steps, and none after the last STEP; the sums of the output after each step,
// and what units sent. `outcome` becomes the number of events, or -1 if the sample was refused.
void show_sample(Simulation *s, int64_t n, const int64_t *tokens, int64_t n_outputs,
                    const int64_t *lanes, const int64_t *places, int64_t *drives, int64_t *events,
                    int64_t most_events, int64_t *clocks, int64_t stalls, int64_t *outcome) {
    s->events = events;
    s->most_events = most_events;
    s->n_events = s->step = 0;
    s->stalls = static_cast<uint64_t>(stalls);
    int64_t taken = 0;
    while (taken < n) {
        s->clocks = clocks;
        taken += give_tokens(s, n - taken, tokens + 3 * taken);
        s->clocks = nullptr;
        read_words(s, 1, n_outputs, lanes, places, drives + s->step * n_outputs);
        s->step++;
    }
    const int64_t close[] = {CLOSE, 0, 0};
    s->clocks = clocks;
    give_tokens(s, 1, close);
    s->clocks = nullptr;
    *outcome = s->core.refused ? -1 : s->n_events;
}

}
