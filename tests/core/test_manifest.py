import json

import pytest

from jishi.core import manifest

NOTHING = {"damaged": [], "missing": [], "unlisted": []}


@pytest.fixture
def sealed(tmp_path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "a.txt").write_bytes(b"abc")
    (tmp_path / "inner" / "b.txt").write_bytes(b"")
    manifest.seal(tmp_path)
    return tmp_path


def test_the_manifest_holds_the_sha256_of_every_file(sealed):
    assert json.loads((sealed / "MANIFEST.json").read_text()) == {  # the digests of FIPS 180-4's "abc" and of nothing
        "a.txt": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "inner/b.txt": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    }
    assert manifest.faults(sealed) == NOTHING


def test_one_flipped_bit_is_damage(sealed):
    (sealed / "a.txt").write_bytes(b"abb")
    assert manifest.faults(sealed) == {**NOTHING, "damaged": ["a.txt"]}


def test_a_lost_file_is_missing(sealed):
    (sealed / "inner" / "b.txt").unlink()
    assert manifest.faults(sealed) == {**NOTHING, "missing": ["inner/b.txt"]}


def test_a_stranger_is_unlisted(sealed):
    (sealed / "inner" / "c.txt").write_text("x")
    assert manifest.faults(sealed) == {**NOTHING, "unlisted": ["inner/c.txt"]}


@pytest.mark.parametrize("content", ["", "{", "[]", "3"])
def test_a_manifest_that_cannot_be_read_is_the_damaged_file(sealed, content):
    (sealed / "MANIFEST.json").write_text(content)
    assert manifest.faults(sealed) == {**NOTHING, "damaged": ["MANIFEST.json"]}


def test_a_link_out_of_the_folder_is_no_way_in(sealed, tmp_path_factory):
    (sealed / "a.txt").unlink()
    (sealed / "a.txt").symlink_to(tmp_path_factory.mktemp("elsewhere") / "a.txt")
    assert manifest.faults(sealed) != NOTHING
