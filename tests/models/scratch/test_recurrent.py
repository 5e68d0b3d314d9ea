"""Recurrent language models against their equations, and against themselves: read at once, bit by bit, padded, alone."""

from pathlib import Path

import numpy
import pytest
import torch
from transformers import AutoModelForCausalLM

from jishi.core.contracts import Head
from jishi.core.errors import ModelError
from jishi.models import load
from jishi.models.decoding import Decoding
from jishi.models.ends import Ends
from jishi.models.generate import generate, stream
from jishi.models.scratch._recurrent import RecurrentConfig, RecurrentForCausalLM
from jishi.models.spec import ModelSpec
from jishi.models.steps import left
from jishi.objectives.causal_lm import CausalLM
from jishi.training.loop import Loop
from jishi.training.spec import TrainSpec
from points import run
from tiny import tokenizer

CELLS = ("lstm", "gru")
WORDS = 40
END = 1
METHODS = {
    "greedy": Decoding(max_new_tokens=12),
    "beam": Decoding("beam", max_new_tokens=8, beams=3),
    "sampling": Decoding("sampling", max_new_tokens=12, temperature=0.8, top_k=9, seed=4),
}


def model(cell: str, layers: int = 2) -> RecurrentForCausalLM:
    """Weights so large that what was read long ago still counts."""
    torch.manual_seed(0)
    made = RecurrentForCausalLM(RecurrentConfig(WORDS, cell, 12, 16, layers, eos_token_id=END)).eval()
    with torch.no_grad():
        for weight in made.parameters():
            weight.normal_(std=0.4)
    return made


def batch(rows: int = 5) -> dict[str, torch.Tensor]:
    """Right-padded rows of 3 to 9 tokens."""
    draw = torch.Generator().manual_seed(1)
    lengths = torch.randint(3, 10, (rows,), generator=draw)
    ids = torch.randint(2, WORDS, (rows, int(lengths.max())), generator=draw)
    mask = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
    return {"input_ids": ids * mask, "attention_mask": mask}


def sigmoid(x: numpy.ndarray) -> numpy.ndarray:
    return 1 / (1 + numpy.exp(-x))


def lstm(weights: dict[str, numpy.ndarray], said: numpy.ndarray) -> list[numpy.ndarray]:
    """Hochreiter & Schmidhuber with a forget gate: i, f, g, o; c = f c + i g; h = o tanh c."""
    state, cell, found = numpy.zeros(16), numpy.zeros(16), []
    for x in said:
        gates = (
            weights["weight_ih_l0"] @ x
            + weights["bias_ih_l0"]
            + weights["weight_hh_l0"] @ state
            + weights["bias_hh_l0"]
        )
        i, f, g, o = numpy.split(gates, 4)
        cell = sigmoid(f) * cell + sigmoid(i) * numpy.tanh(g)
        state = sigmoid(o) * numpy.tanh(cell)
        found.append(state)
    return found


def gru(weights: dict[str, numpy.ndarray], said: numpy.ndarray) -> list[numpy.ndarray]:
    """Reset r, update z, n = tanh(W x + r (U h)); h = (1 - z) n + z h."""
    state, found = numpy.zeros(16), []
    for x in said:
        given = numpy.split(weights["weight_ih_l0"] @ x + weights["bias_ih_l0"], 3)
        held = numpy.split(weights["weight_hh_l0"] @ state + weights["bias_hh_l0"], 3)
        r, z = sigmoid(given[0] + held[0]), sigmoid(given[1] + held[1])
        state = (1 - z) * numpy.tanh(given[2] + r * held[2]) + z * state
        found.append(state)
    return found


@pytest.mark.parametrize(("cell", "formula"), [("lstm", lstm), ("gru", gru)])
def test_the_logits_are_those_of_the_equations(cell, formula):
    made, ids = model(cell), [3, 9, 9, 4]
    table = {name: weight.detach().double().numpy() for name, weight in made.named_parameters()}
    states = table["model.embeddings.weight"][ids] * 12**0.5
    for layer in range(2):
        prefix = f"model.layers.{layer}."
        states = formula({name.removeprefix(prefix): table[name] for name in table if name.startswith(prefix)}, states)
    handed = states @ table["model.projection.weight"].T + table["model.projection.bias"]
    wanted = handed @ table["model.embeddings.weight"].T
    numpy.testing.assert_allclose(made(torch.tensor([ids])).logits[0].detach().numpy(), wanted, atol=1e-4)


@pytest.mark.parametrize("cell", CELLS)
def test_what_is_remembered_stands_for_what_was_read(cell):
    """Rows padded on the left, one token after the other, and rows dropped, doubled and reordered between."""
    made, given = model(cell), batch()
    ids, mask = left(given["input_ids"], given["attention_mask"])
    with torch.no_grad():
        begun = made(ids, attention_mask=mask, use_cache=True, logits_to_keep=1)
        rows = torch.tensor([3, 0, 0, 4])
        begun.past_key_values.batch_select_indices(rows)
        after = torch.tensor([[7], [8], [9], [10]])
        longer = torch.cat([mask[rows], torch.ones(4, 1, dtype=torch.long)], 1)
        more = made(after, attention_mask=longer, past_key_values=begun.past_key_values, use_cache=True).logits
        for place, row in enumerate(rows.tolist()):
            alone = ids[row][mask[row].bool()]
            whole = made(torch.cat([alone, after[place]])[None]).logits[0]
            torch.testing.assert_close(begun.logits[row, 0], whole[-2], atol=1e-4, rtol=0)
            torch.testing.assert_close(more[place, 0], whole[-1], atol=1e-4, rtol=0)


@pytest.mark.parametrize("cell", CELLS)
def test_padding_on_either_side_changes_no_state(cell):
    made, given = model(cell), batch()
    ids, mask = left(given["input_ids"], given["attention_mask"])
    with torch.no_grad():
        right, other = made(**given).logits, made(ids, attention_mask=mask).logits
        for row, length in enumerate(mask.sum(1).tolist()):
            alone = made(given["input_ids"][row : row + 1, :length]).logits[0]
            torch.testing.assert_close(right[row, :length], alone, atol=1e-4, rtol=0)
            torch.testing.assert_close(other[row, -length:], alone, atol=1e-4, rtol=0)


@pytest.mark.parametrize("cell", CELLS)
def test_greedy_answers_are_those_of_reading_everything_again(cell):
    made, given = model(cell), batch()
    for row, found in enumerate(generate(made, given, METHODS["greedy"], Ends(None, frozenset([END])))):
        text = given["input_ids"][row][given["attention_mask"][row].bool()].tolist()
        for token, chance, _ in found.tolist():
            with torch.no_grad():
                scores = made(torch.tensor([text])).logits[0, -1].log_softmax(0)
            assert int(token) == int(scores.argmax()) and chance == pytest.approx(float(scores.max()), abs=1e-4)
            text.append(int(token))
        assert text[-1] == END or len(found) == 12


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("cell", CELLS)
def test_answers_in_a_batch_equal_answers_one_by_one(cell, method):
    made, given, ends = model(cell), batch(), Ends(None, frozenset([END]))
    for row, found in enumerate(generate(made, given, METHODS[method], ends)):
        length = int(given["attention_mask"][row].sum())
        alone = {name: value[row : row + 1, :length] for name, value in given.items()}
        torch.testing.assert_close(generate(made, alone, METHODS[method], ends)[0], found, atol=2e-4, rtol=0)


@pytest.mark.parametrize("cell", CELLS)
def test_a_text_may_be_longer_than_any_it_was_trained_on(cell):
    made, long = (
        model(cell),
        {"input_ids": torch.full((1, 700), 3), "attention_mask": torch.ones(1, 700, dtype=torch.long)},
    )
    (found,) = generate(made, long, Decoding(max_new_tokens=3), Ends(None))
    assert len(found) == 3


@pytest.mark.parametrize("cell", CELLS)
def test_a_folder_is_a_base_and_the_embeddings_are_the_output_layer(cell, tmp_path: Path):
    rows, spec = [{"text": "今天天气 the weather"}] * 2, ModelSpec(cell, size="nano")
    words, head = load.processor(spec, rows), Head("ForCausalLM", {"is_decoder": True})
    made = load.model(spec, head, load.base(spec), words).eval()
    assert made.get_output_embeddings().weight is made.get_input_embeddings().weight
    made.save_pretrained(tmp_path)
    words.save_pretrained(tmp_path)
    inputs = words(["今天 the", "天"], return_tensors="pt", padding=True)
    wanted = made(**inputs).logits
    same = ModelSpec(str(tmp_path))
    for again in (
        load.reload(tmp_path, head.architecture)[0],
        load.model(same, head, load.base(same), load.processor(same)).eval(),
        AutoModelForCausalLM.from_pretrained(tmp_path, local_files_only=True).eval(),
    ):
        assert again.get_output_embeddings().weight is again.get_input_embeddings().weight
        # with one thread torch takes another kernel for an LSTM whose weights lie together in memory
        torch.testing.assert_close(again(**inputs).logits, wanted, atol=1e-6, rtol=1e-5)


def test_the_gates_that_forget_begin_open():
    """Of the four parts of a bias, i, f, g, o, the second."""
    spec = ModelSpec("lstm", size="nano")
    words = load.processor(spec, [{"text": "今天"}])
    made = load.model(spec, Head("ForSequenceClassification", {"num_labels": 2}), load.base(spec), words)
    for layer in made.backbone.layers:
        assert [part.unique().tolist() for part in layer.bias_hh_l0.detach().chunk(4)] == [[0], [1], [0], [0]]


def test_a_cell_that_is_none_is_refused(tmp_path: Path):
    model("gru").save_pretrained(tmp_path)
    tokenizer("a b").save_pretrained(tmp_path)
    config = tmp_path / "config.json"
    config.write_text(config.read_text().replace('"gru"', '"system"'))
    with pytest.raises(ModelError, match="system"):
        load.reload(tmp_path, "ForCausalLM")


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("size", ["nano", "tiny", "mini", "small"])
def test_it_has_about_as_many_weights_as_the_transformer_of_its_size(cell, size):
    words = load.processor(ModelSpec(cell), [{"text": chr(0x4E00 + place) * 2} for place in range(4000)])
    counts = []
    for name in (cell, "transformer-decoder"):
        spec = ModelSpec(name, size=size)
        with torch.device("meta"):
            made = load.model(spec, Head("ForCausalLM"), load.base(spec), words)
        counts.append(sum(weight.numel() for weight in made.parameters()))
    assert counts[0] == pytest.approx(counts[1], rel=0.05)


@pytest.mark.parametrize("cell", CELLS)
def test_a_run_learns_what_follows_and_goes_on_without_packing(cell, tmp_path):
    words = " ".join(f"w{number}" for number in range(20))
    rows = [{"text": " ".join(words.split()[row % 4 : row % 4 + 3 + row])} for row in range(8)]
    processor = tokenizer(words)
    torch.manual_seed(0)
    made = RecurrentForCausalLM(RecurrentConfig(len(processor), cell, 32, 48, hidden_dropout_prob=0.0))
    loop = Loop(
        made, CausalLM(max_length=32), processor, TrainSpec(epochs=40, batch_size=4, precision="fp32", threads=1),
        train=rows, validation=rows, head=[], learning_rate=2e-2, folder=tmp_path, seed=0,
    )  # fmt: skip
    losses = [event.values["loss"] for event in run(loop) if event.kind == "validation"]
    assert not loop.update.packs and losses[-1] < 0.4 * losses[0]


@pytest.mark.parametrize("cell", CELLS)
def test_a_stream_comes_to_what_is_written_at_once(cell):
    made, words = model(cell), tokenizer(" ".join(f"w{number}" for number in range(WORDS - 5)))
    given, ends = {name: value[:1] for name, value in batch().items()}, Ends.of(words)
    ids = [int(token) for token in generate(made, given, METHODS["sampling"], ends)[0][:, 0]]
    assert "".join(stream(made, given, METHODS["sampling"], ends)) == ends.text(ids)
