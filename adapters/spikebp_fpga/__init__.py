"""Networks on open hardware: a core in SystemVerilog that learns, and its simulation."""
