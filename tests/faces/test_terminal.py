"""What a terminal shows of a run as it goes on."""

from types import SimpleNamespace

from jishi import terminal
from jishi.training.loop import Event


def test_samples_are_shown_as_they_were_written_brackets_too():
    shown, face = [], terminal.Training()
    face._lines, face._progress = False, SimpleNamespace(print=shown.append)
    face.hear(Event("samples", 20, {"texts": [{"given": "cats [MASK]", "written": "cats [/red]"}]}))
    assert [line.plain for line in shown] == ["step 20: cats [MASK] → cats [/red]"]  # not read as marks of colour
