"""Signatures estimate how alike texts are, whatever stands beside them."""

import random

import numpy
import pytest

from jishi.data import minhash


def text(draw, size):
    return "".join(draw.choices("的一是在不了有和人这中大为上个国我以要他时来用们生到作地于出就分对成会", k=size))


def jaccard(one, other):
    left, right = ({given[i : i + 5] for i in range(len(given) - 4)} for given in (one, other))
    return len(left & right) / len(left | right)


@pytest.mark.parametrize("size", [30, 200, 3000])
def test_the_estimate_is_near_the_truth(size):
    draw, errors = random.Random(size), []
    for _ in range(60):
        one = text(draw, size)
        keep = draw.uniform(0, 1)
        other = one[: int(keep * size)] + text(draw, size - int(keep * size))
        left, right = minhash.signatures([one, other])
        errors.append(minhash.similarity(left[None], right[None])[0] - jaccard(one, other))
    assert abs(numpy.mean(errors)) < 0.02 and numpy.std(errors) < (0.08 if size == 30 else 0.05)


@pytest.mark.parametrize("chunk", [1, 64, 2**15])
def test_a_text_has_the_same_signature_alone_and_among_others(chunk, monkeypatch):
    monkeypatch.setattr(minhash, "CHUNK", chunk)
    draw = random.Random(1)
    texts = [text(draw, size) for size in (1, 4, 5, 6, 100, 1000)] + ["", "Mixed  Case\n text"]
    together = minhash.signatures(texts)
    for one, found in zip(texts, together, strict=True):
        assert (minhash.signatures([one])[0] == found).all()
    assert (minhash.signatures(["mixed case text"])[0] == together[-1]).all()
    assert not (together == minhash.EMPTY).any()


def test_bands_agree_where_their_bins_do():
    found = minhash.signatures([text(random.Random(2), 300)]).repeat(2, axis=0)
    found[1, 0] ^= 1  # of the first band
    equal = [len(set(minhash.band(found, number).tolist())) == 1 for number in range(minhash.BANDS)]
    assert equal == [False] + [True] * (minhash.BANDS - 1)
