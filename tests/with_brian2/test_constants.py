"""The numbers of a definition are variables of a network's parts: no script changes them."""

import pytest

pytest.importorskip("brian2", reason="Brian2 is not installed")

from brian2 import Network, NeuronGroup, SpikeMonitor, defaultclock, ms, network_operation

from spikebp_brian2 import SpikingMLPGroup
from tests.with_brian2.experiment import (
    DT,
    N_SAMPLES,
    NET,
    SAMPLE,
    assert_equal_states,
    refusal_of,
    shown,
)

#: How scripts set one of them.
SETTERS = [
    lambda mlp: setattr(mlp.synapses[0], "update_rate", 0),
    lambda mlp: setattr(mlp.layers[0], "input_factor", 2),
    lambda mlp: setattr(mlp.output_layer, "right_target", 2),
    lambda mlp: setattr(mlp.schedule, "steps_per_sample", 5),
    lambda mlp: setattr(mlp.layers[1], "binary", "1"),
    lambda mlp: setattr(mlp.layers[1], "binary_", 1),
    lambda mlp: setattr(mlp.synapses[0], "binary_post", 1),
    lambda mlp: mlp.layers[2].value_limit.__setitem__(slice(None), 8),
    lambda mlp: mlp.layers[2].starts_at_zero.__iadd__(1),
    lambda mlp: mlp.layers[2].set_states({"units_per_one": 8.0}),
    lambda mlp: setattr(mlp.layers[1][:3], "binary", 1),
]


@pytest.fixture(scope="module")
def stored(experiment, tmp_path_factory):
    """The file that a script of `NET` has stored after four samples."""
    path = str(tmp_path_factory.mktemp("stored") / "states")
    mlp = SpikingMLPGroup(NET, experiment.weights, name="mine", **shown(experiment))
    network = Network(mlp, name="script")
    network.run(4 * SAMPLE)
    network.store("four", filename=path)
    return path


class TestStoredStates:
    def test_of_the_same_definition_go_on(self, experiment, stored):
        mlp = SpikingMLPGroup(NET, name="mine", **shown(experiment))
        network = Network(mlp)
        network.restore("four", filename=stored)
        network.run((N_SAMPLES - 4) * SAMPLE)
        experiment.assert_learned_by(mlp)

    @pytest.mark.parametrize(
        ("changes", "sentence"),
        [
            (
                {"label_targets": (0.0, 2.0)},
                "label_targets is (0.0, 1.0) there and (0.0, 2.0) here",
            ),
            ({"layer_sizes": (9, 8, 3)}, "layer_sizes is (9, 8, 7, 3) there and (9, 8, 3) here"),
            *(
                pytest.param(changes, next(iter(changes)), marks=pytest.mark.thorough)
                for changes in (
                    {"update": "outer"},
                    {"n_steps": 6},
                    {"input_scale": 2.0},
                    {"spikes": "binary"},
                    {"fraction_bits": 20},
                    {"backward_init": "zero"},
                    {"feedback": "random"},
                    {"timing": "pipelined"},
                    {"input_coding": "spikes"},
                    {"layer_sizes": (9, 8, 6, 3)},
                )
            ),
        ],
        ids=str,
    )
    def test_of_another_definition_are_refused_before_anything_is_restored(
        self, stored, changes, sentence
    ):
        mlp = SpikingMLPGroup(NET.replace(**changes), name="mine")
        network = Network(mlp)
        before = mlp.checkpoint().state
        with pytest.raises(ValueError, match="'mine' cannot be restored to a state") as error:
            network.restore("four", filename=stored)
        assert sentence in str(error.value)
        assert network.t == 0 * SAMPLE
        assert_equal_states(mlp.checkpoint().state, before)
        network.run(SAMPLE)

    def test_that_end_samples_in_another_way_are_refused(self, stored):
        ends = NeuronGroup(1, "v : 1", threshold="v > 1")
        network = Network(ends, SpikingMLPGroup(NET, name="mine", sample_end=ends))
        with pytest.raises(ValueError, match="another network: one of the two has a sample_end"):
            network.restore("four", filename=stored)
        network.run(DT)

    def test_of_before_the_first_run_go_on_at_any_dt(self, experiment):
        step = {"step": 1 * ms, "clock": defaultclock}
        mlp = SpikingMLPGroup(NET, experiment.weights, **step, **shown(experiment, 1 * ms))
        network = Network(mlp)
        network.store()
        defaultclock.dt = 0.5 * ms
        network.run(3 * SAMPLE)
        network.restore()
        assert mlp.checkpoint().state.samples_seen == 0
        network.run(N_SAMPLES * NET.n_steps * ms)
        experiment.assert_learned_by(mlp)

    def test_are_restored_as_a_whole_or_not_at_all(self, experiment, stored):
        mlp = SpikingMLPGroup(NET, experiment.weights, name="mine", **shown(experiment))
        monitor = SpikeMonitor(mlp.layers[1], name="new")
        network = Network(mlp, monitor)
        network.run(2 * SAMPLE)
        mlp.learning_rate = 0.25
        with pytest.raises(KeyError, match="does not have a stored state for 'new'"):
            network.restore("four", filename=stored)
        assert mlp.checkpoint().net.learning_rate == 0.25
        mlp.learning_rate = 0.5
        network.run((N_SAMPLES - 2) * SAMPLE)
        experiment.assert_learned_by(mlp)


class TestNumbersOfTheDefinition:
    def test_are_set_by_nobody(self, experiment):
        mlp = SpikingMLPGroup(NET, experiment.weights, name="mine", **shown(experiment))
        for set_one in SETTERS:
            with pytest.raises(TypeError, match="is read-only"):
                set_one(mlp)
        network = Network(mlp)
        network.run(N_SAMPLES * SAMPLE)
        experiment.assert_learned_by(mlp)
        # Brian2's way to keep states takes them along.
        states = network.get_states(read_only_variables=False)
        mlp.weights = experiment.weights
        network.set_states(states)
        experiment.assert_learned_by(mlp)

    def test_are_compared_before_a_run_and_by_a_checkpoint(self, experiment):
        mlp = SpikingMLPGroup(NET, experiment.weights, name="mine", **shown(experiment))
        network = Network(mlp)
        mlp.layers[1].variables["binary"].set_value(1)
        sentence = "mine_layer_1.binary must stay 0.0, as definition and step have it; got 1.0"
        assert str(refusal_of(network)) == sentence
        with pytest.raises(ValueError, match=sentence):
            mlp.checkpoint()
        mlp.layers[1].variables["binary"].set_value(0)
        network.run(N_SAMPLES * SAMPLE)
        experiment.assert_learned_by(mlp)

    def test_are_compared_after_a_run(self, experiment):
        mlp = SpikingMLPGroup(NET, experiment.weights, name="mine", **shown(experiment))
        change = True

        @network_operation(dt=2 * SAMPLE)
        def faster(t):
            if change and t > 0 * SAMPLE:
                mlp.synapses[1].variables["update_rate"].set_value(0.5)

        network = Network(mlp, faster)
        before = mlp.checkpoint().state
        with pytest.raises(ValueError, match=r"mine_synapses_2.update_rate must stay 0\.01025"):
            network.run(4 * SAMPLE)
        assert_equal_states(mlp.checkpoint().state, before)
        change = False
        network.run(DT)

    @pytest.mark.parametrize("name", ["steps_per_sample", "dts_per_step"])
    def test_are_not_changed_by_code_of_the_users(self, name):
        mlp = SpikingMLPGroup(NET, name="mine")
        mlp.schedule.run_regularly(f"{name} = 3")
        cause = str(refusal_of(Network(mlp)))
        assert f"must not write mine_schedule.{name} while 'mine' runs" in cause
