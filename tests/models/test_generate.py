"""Answers against transformers' own `generate`, against enumeration, and against themselves one by one."""

import itertools
from dataclasses import replace

import pytest
import torch

import writers
from jishi.models import beams, steps
from jishi.models.decoding import Decoding
from jishi.models.ends import Ends, Pieces
from jishi.models.generate import generate, stream

PROCESSOR = writers.bytewise()
ENDS = Ends(PROCESSOR, frozenset([writers.END]))
MODELS = {
    "decoder": writers.decoder(),
    "learnt positions": writers.positioned(),
    "encoder-decoder": writers.encoder_decoder(),
}
METHODS = {
    "greedy": Decoding(max_new_tokens=20),
    "penalties": Decoding(max_new_tokens=20, repetition_penalty=1.7, no_repeat_ngram=2),
    "beam": Decoding("beam", max_new_tokens=12, beams=3),
    "sampling": Decoding("sampling", max_new_tokens=20, temperature=0.8, top_k=9, top_p=0.9, seed=4),
}


def tokens(rows: list[torch.Tensor]) -> list[list[int]]:
    return [row[:, 0].long().tolist() for row in rows]


def theirs(model, batch, **settings) -> list[list[int]]:
    """What transformers writes, up to and with the end token."""
    ids, mask = batch["input_ids"], batch["attention_mask"]
    if not model.config.is_encoder_decoder:
        ids, mask = steps.left(ids, mask)
    skip = 1 if model.config.is_encoder_decoder else ids.shape[1]
    found = model.generate(ids, attention_mask=mask, do_sample=False, **settings)[:, skip:].tolist()
    return [row[: row.index(writers.END) + 1] if writers.END in row else row for row in found]


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("seed", range(3))
def test_greedy_answers_are_those_of_transformers(kind: str, seed: int) -> None:
    batch = writers.prompts(seed=seed)
    found = tokens(generate(MODELS[kind], batch, METHODS["greedy"], ENDS))
    assert found == theirs(MODELS[kind], batch, max_new_tokens=20)
    assert seed or len({len(row) for row in found}) > 1  # rows that end at different times


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("seed", range(3))
def test_penalties_are_those_of_transformers(kind: str, seed: int) -> None:
    batch = writers.prompts(seed=seed)
    found = tokens(generate(MODELS[kind], batch, METHODS["penalties"], ENDS))
    wanted = theirs(MODELS[kind], batch, max_new_tokens=20, repetition_penalty=1.7, no_repeat_ngram_size=2)
    assert found == wanted and found != theirs(MODELS[kind], batch, max_new_tokens=20)


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("seed", range(3))
def test_beams_without_length_penalty_are_those_of_transformers(kind: str, seed: int) -> None:
    batch = writers.prompts(seed=seed)
    decoding = Decoding("beam", max_new_tokens=12, beams=3, length_penalty=0.0)
    found = tokens(generate(MODELS[kind], batch, decoding, ENDS))
    assert found == theirs(MODELS[kind], batch, max_new_tokens=12, num_beams=3, length_penalty=0.0)


def test_the_length_penalty_is_gnmt_s() -> None:
    """By hand: −4 over ((5 + 3) / 6)²."""
    assert beams.Text((2, 3, 1), (-1.0, -1.0, -2.0), -4.0).score(2.0) == pytest.approx(-2.25)


@pytest.mark.parametrize("power", [0.0, 0.6, 2.0])
@pytest.mark.parametrize("seed", range(3))
def test_a_beam_as_wide_as_the_tree_finds_the_best_of_all_texts(power: float, seed: int) -> None:
    """Four tokens, four steps: every text is scored by one plain forward and the length penalty of GNMT."""
    model, prompt, length = writers.decoder(words=4, seed=seed), [2, 3], 4
    inner = [text for size in range(length) for text in itertools.product((0, 2, 3), repeat=size)]
    texts = [(*text, writers.END) for text in inner]
    texts += itertools.product((0, 2, 3), repeat=length)

    def score(text: tuple[int, ...]) -> float:
        with torch.no_grad():
            chances = model(torch.tensor([[*prompt, *text]])).logits[0].log_softmax(1)
        total = sum(chances[len(prompt) - 1 + place, token].item() for place, token in enumerate(text))
        return total / ((5 + len(text)) / 6) ** power

    ranked = sorted(((score(text), text) for text in texts), reverse=True)
    batch = {"input_ids": torch.tensor([prompt]), "attention_mask": torch.ones(1, 2, dtype=torch.long)}
    decoding = Decoding("beam", max_new_tokens=length, beams=81, length_penalty=power)
    found = generate(model, batch, decoding, ENDS)[0]
    assert tuple(tokens([found])[0]) == ranked[0][1]
    assert found[:, 1].sum().item() / ((5 + len(found)) / 6) ** power == pytest.approx(ranked[0][0], abs=1e-4)
    assert found[-1, 2].item() <= ranked[0][0] - ranked[1][0] + 1e-4  # never surer than the lead over the next text


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", MODELS)
def test_answers_in_a_batch_equal_answers_one_by_one(kind: str, method: str) -> None:
    batch = writers.prompts(rows=6, seed=7)
    together = generate(MODELS[kind], batch, METHODS[method], ENDS)
    for row, found in enumerate(together):
        length = int(batch["attention_mask"][row].sum())
        alone = {key: value[row : row + 1, :length] for key, value in batch.items()}
        (single,) = generate(MODELS[kind], alone, METHODS[method], ENDS)
        torch.testing.assert_close(found, single, rtol=0, atol=2e-4)


@pytest.mark.parametrize("kind", MODELS)
def test_chances_and_margins_are_those_of_one_plain_forward(kind: str) -> None:
    model, batch = MODELS[kind], writers.prompts(rows=1)
    (found,) = generate(model, batch, METHODS["greedy"], ENDS)
    written = found[:, 0].long()
    with torch.no_grad():
        if model.config.is_encoder_decoder:
            start = torch.cat([torch.tensor([writers.PAD]), written[:-1]])
            logits = model(**batch, decoder_input_ids=start[None]).logits[0]
        else:
            logits = model(torch.cat([batch["input_ids"][0], written[:-1]])[None]).logits[0, -len(written) :]
    best = logits.topk(2).values
    torch.testing.assert_close(found[:, 1], logits.log_softmax(1).gather(1, written[:, None])[:, 0], atol=1e-4, rtol=0)
    torch.testing.assert_close(found[:, 2], best[:, 0] - best[:, 1], atol=1e-4, rtol=0)


def test_another_seed_draws_otherwise_and_the_same_seed_the_same() -> None:
    batch = writers.prompts()
    first = tokens(generate(MODELS["decoder"], batch, METHODS["sampling"], ENDS))
    assert first == tokens(generate(MODELS["decoder"], batch, METHODS["sampling"], ENDS))
    assert first != tokens(generate(MODELS["decoder"], batch, replace(METHODS["sampling"], seed=5), ENDS))


def test_a_stop_string_ends_a_row_and_leaves_the_others() -> None:
    model, batch = writers.decoder(words=258), writers.prompts(words=258)
    decoding = Decoding(max_new_tokens=16)
    free = generate(model, batch, decoding, Ends.of(PROCESSOR))
    text = Ends.of(PROCESSOR).text(tokens(free)[2])
    ends = Ends.of(PROCESSOR, (text[4:7],))
    stopped = generate(model, batch, decoding, ends)
    assert len(stopped[2]) < len(free[2]) and ends.text(tokens(stopped)[2]) == text[: text.index(text[4:7])]
    assert tokens(stopped)[0] == tokens(free)[0][: len(stopped[0])]


def test_a_row_ends_where_the_model_can_read_no_further() -> None:
    model = writers.decoder(positions=12)
    batch = writers.prompts()
    rows = generate(model, batch, Decoding(max_new_tokens=50), Ends(PROCESSOR))
    lengths = batch["attention_mask"].sum(1).tolist()
    assert [len(row) + length for row, length in zip(rows, lengths, strict=True)] == [13] * len(rows)


@pytest.mark.parametrize("method", METHODS)
def test_a_stream_comes_to_the_same_text_and_leaves_no_mode_behind(method: str) -> None:
    model, batch = writers.decoder(words=258), writers.prompts(rows=1, words=258)
    ends = Ends.of(PROCESSOR)
    pieces = []
    for piece in stream(model, batch, METHODS[method], ends):
        assert not torch.is_inference_mode_enabled()
        pieces.append(piece)
    whole = ends.text(tokens(generate(model, batch, METHODS[method], ends))[0])
    assert "".join(pieces) == whole and (method == "beam") == (len(pieces) == 1)
    assert Pieces(ends).rest() == ""
