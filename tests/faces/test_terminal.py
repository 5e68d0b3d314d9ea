"""What a terminal shows of a run as it goes on."""

from types import SimpleNamespace

from jishi import terminal
from jishi.training.loop import Event


def test_samples_are_shown_as_they_were_written_brackets_too():
    shown, face = [], terminal.Training()
    face._lines, face._progress = False, SimpleNamespace(print=shown.append)
    face.hear(Event("samples", 20, {"texts": [{"given": "cats [MASK]", "written": "cats [/red]"}]}))
    assert [line.plain for line in shown] == ["step 20: cats [MASK] → cats [/red]"]  # not read as marks of colour


def test_a_start_says_how_many_inputs_are_varied_and_what_that_costs():
    sizes = dict.fromkeys(("parameters", "inner_parameters", "flops_per_token", "tokens", "steps"), 1)
    told = {"varied": 0.48, "length": 1.0, "milliseconds": 0.314, "unknown": 0.0}
    for augment, expected in ((told, True), (None, False)):
        face = terminal.Training()
        face._lines = False
        with terminal.console.capture() as shown:
            face.hear(Event("start", 0, {**sizes, "damaged": [], "resumed_from": None, "augment": augment}))
            face._progress.stop()
        assert ("48% are varied anew in each epoch, at 0.31 ms a row" in shown.get()) is expected


def test_a_base_that_foresees_texts_tells_what_a_character_costs():
    value = {
        "loss": {"untrained": 6.0, "trained": 4.0}, "bits_per_character": {"untrained": 3.75, "trained": 2.5}, "base": "b",
        "parts": {}, "replayed": None, "probes": {},
        "resources": {"seconds": 1, "peak_memory": 2**30, "parameters": 2, "trainable_parameters": 1},
    }  # fmt: skip
    with terminal.console.capture() as shown:
        terminal.base(value)
    assert "3.750 → 2.500" in shown.get()
    with terminal.console.capture() as shown:
        terminal.base({name: found for name, found in value.items() if name != "bits_per_character"})
    assert "character" not in shown.get() and "6.000 → 4.000" in shown.get()
