from pathlib import Path
from types import SimpleNamespace

import pytest

from jishi.core.errors import MissingExtra, ModelError
from jishi.models.embedded import _source

SHA256 = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"  # of "hello"


def write(path: Path, folder: Path) -> None:
    (folder / "copy").write_bytes(path.read_bytes())


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A distribution with one file, and a model that lies in it."""
    site = tmp_path / "site"
    (site / "carrier").mkdir(parents=True)
    (site / "carrier-1.dist-info").mkdir()
    (site / "carrier-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: carrier\nVersion: 1\n")
    (site / "carrier" / "__init__.py").write_text("raise SystemExit('imported')")
    (site / "carrier" / "weights.bin").write_bytes(b"hello")
    monkeypatch.syspath_prepend(site)
    monkeypatch.setenv("JISHI_CACHE", str(tmp_path / "cache"))
    source = _source.Source("carrier", "carrier/weights.bin", SHA256, write)
    module = SimpleNamespace(SOURCES=(source,), LICENCE="MIT", __doc__="A model.\n\nMore.")
    monkeypatch.setattr(_source, "_module", lambda _: module)
    monkeypatch.setattr(_source, "names", lambda: ("model",))
    return site


def test_the_file_is_converted_without_importing_the_package() -> None:
    assert (_source.folder("model") / "copy").read_bytes() == b"hello"


def test_a_changed_file_is_refused_before_it_is_parsed(package: Path) -> None:
    (package / "carrier" / "weights.bin").write_bytes(b"hullo")
    with pytest.raises(ModelError, match="SHA-256"):
        _source.folder("model")


def test_a_model_once_converted_needs_its_package_no_more(package: Path) -> None:
    made = _source.folder("model")
    (package / "carrier" / "weights.bin").unlink()
    assert _source.folder("model") == made


def test_a_missing_package_is_named_with_its_cure(package: Path) -> None:
    (package / "carrier" / "weights.bin").unlink()
    with pytest.raises(MissingExtra, match=r"carrier.*jishi\[embedded\]"):
        _source.folder("model")


def test_the_listing_says_what_is_at_hand(package: Path) -> None:
    about = {"about": "A model.", "licence": "MIT", "package": "carrier"}
    entry = {"kind": "base", "name": "model", **about, "installed": True}
    assert _source.listing() == [entry]
    (package / "carrier" / "weights.bin").unlink()
    assert _source.listing() == [{**entry, "installed": False}]
