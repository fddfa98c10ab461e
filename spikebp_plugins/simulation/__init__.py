"""What a run is: simulators, streams, traces and what is drawn from them."""
