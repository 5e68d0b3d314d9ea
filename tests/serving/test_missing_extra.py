import sys

import pytest

import jishi
from jishi.core.errors import MissingExtra


@pytest.mark.parametrize("library", ["uvicorn", "fastapi", "prometheus_client"])
def test_without_its_libraries_serving_names_the_cure(library, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("jishi.serving.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtra, match=rf'{library}.*pip install "jishi\[serve\]"'):
        jishi.serve("runs/none")
