// Samples for a compiled program, read from a file when it starts.
//
// A file holds seven 64-bit integers (bytes per value, samples, rows per sample, units, steps for
// which a sample is shown, steps before that, all steps that it takes), then for values of one
// byte a table of 256 doubles, then the values: doubles, or bytes that stand for an entry of the
// table. A sample with one row shows this row at every step. In steps in which no sample is shown
// the last row stays. After the last sample the first one follows. The number of samples shown so
// far is printed now and then.
#ifndef SPIKEBP_SAMPLES_H
#define SPIKEBP_SAMPLES_H

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <vector>

class SpikebpSamples {
  public:
    explicit SpikebpSamples(const char *variable, bool reports) : reports(reports) {
        const char *path = std::getenv(variable);
        std::ifstream file(path ? path : "", std::ios::binary);
        file.read(reinterpret_cast<char *>(header), sizeof(header));
        if (header[0] == 1)
            file.read(reinterpret_cast<char *>(table), sizeof(table));
        data.resize(header[0] * header[1] * header[2] * header[3]);
        file.read(data.data(), data.size());
        if (!file) {
            std::cerr << "cannot read the samples named by " << variable << std::endl;
            std::exit(2);
        }
        row.resize(header[3]);
    }

    int64_t n_steps() const { return header[1] * header[6]; }

    double value(int64_t timestep, int unit) {
        if (timestep != present)
            present_row(timestep);
        return row[unit];
    }

  private:
    static const int64_t SAMPLES_PER_REPORT = 500;
    const bool reports;
    int64_t header[7];
    double table[256];
    std::vector<char> data;
    int64_t present = -1;    // the time step of the row that is shown
    std::vector<double> row;

    void present_row(int64_t timestep) {
        int64_t rows = header[2], units = header[3], n_steps = header[4], duration = header[6];
        int64_t sample = timestep / duration % header[1], step = timestep % duration - header[5];
        present = timestep;
        if (reports && step == 0 && sample % SAMPLES_PER_REPORT == 0)
            std::cout << sample << std::endl;
        if (step < 0 || step >= n_steps || (rows == 1 && step > 0))
            return;
        size_t first = (sample * rows + (rows == 1 ? 0 : step)) * units;
        for (int64_t unit = 0; unit < units; unit++)
            row[unit] = header[0] == 1
                ? table[static_cast<unsigned char>(data[first + unit])]
                : reinterpret_cast<const double *>(data.data())[first + unit];
    }
};

inline SpikebpSamples &spikebp_inputs() {
    static SpikebpSamples samples("SPIKEBP_INPUTS", true);
    return samples;
}

inline SpikebpSamples &spikebp_targets() {
    static SpikebpSamples samples("SPIKEBP_TARGETS", false);
    return samples;
}

static inline double spikebp_shown_input(int64_t timestep, int unit) {
    return spikebp_inputs().value(timestep, unit);
}

static inline double spikebp_shown_target(int64_t timestep, int unit) {
    return spikebp_targets().value(timestep, unit);
}

#endif
