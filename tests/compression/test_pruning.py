"""What is taken out of a model: what is left answers as the whole does where the rest says nothing, and transformers read it."""

import copy
from types import SimpleNamespace

import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    DistilBertConfig,
    EuroBertConfig,
    GPT2Config,
    LlamaConfig,
    ModernBertConfig,
    T5Config,
)

from jishi.compression._importance import Importance, measured, parts, sizes
from jishi.compression._narrow import Size, best, narrowed, size_of
from jishi.compression.pruning import Pruning
from jishi.core.errors import ModelError, UsageError
from jishi.models import heads
from jishi.tasks.text_classification import TextClassification
from tiny import tokenizer

WORDS = "good bad fine poor plain"
ROWS = [{"text": " ".join(WORDS.split()[: 1 + i % 5]), "label": "ab"[i % 2]} for i in range(40)]
SMALL = {"vocab_size": 16, "num_labels": 2, "pad_token_id": 0}
WIDE = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4}
FAMILIES = {
    "bert": BertConfig(**SMALL, **WIDE),
    "modernbert": ModernBertConfig(**SMALL, **WIDE, global_attn_every_n_layers=2, local_attention=4),
    "distilbert": DistilBertConfig(**SMALL, dim=32, hidden_dim=48, n_layers=3, n_heads=4),
    "gpt2": GPT2Config(**SMALL, n_embd=32, n_inner=48, n_layer=3, n_head=4),
    "llama": LlamaConfig(**SMALL, **WIDE, num_key_value_heads=2),
    "eurobert": EuroBertConfig(**SMALL, **WIDE),
}
HEADED = ("llama", "eurobert")  # a configuration that may say how large a head is


def predictor(family, seed=0):
    torch.manual_seed(seed)
    config = copy.deepcopy(FAMILIES[family])
    model = AutoModelForSequenceClassification.from_config(config).eval()
    with torch.no_grad():
        for value in model.parameters():
            if value.dim() == 1:
                value.add_(0.1 * torch.randn(value.shape))  # biases that a wrong slice would mix up
    task = TextClassification(problem="single", labels=("a", "b"), pairs="never", prefix="", max_length=16)
    return SimpleNamespace(model=model, task=task, processor=tokenizer(WORDS), record={}, path="bundle")


def scores(family, groups=4):
    torch.manual_seed(1)
    groups = 2 if family == "llama" else groups
    return Importance(torch.rand(3, groups), torch.rand(3, 48), torch.tensor([0.3, 0.1, 0.2]))


def answers(model, task, processor):
    batch = task.collate([task.encode(row, processor) for row in ROWS[:6]], processor)
    with torch.no_grad():
        return task.forward(model.eval(), batch)


def silenced(model, found, size):
    """The model with what would leave giving zeros: what reads it has no weight for it."""
    model = copy.deepcopy(model)
    attentions, layers = parts(model)
    for part, kept, each in (
        *((part, best(found.heads[block], size.groups), found.heads.shape[1]) for block, part in enumerate(attentions)),
        *((part, best(found.units[block], size.units), found.units.shape[1]) for block, part in enumerate(layers)),
    ):
        last, width = part.last, sizes(part.last)[0]
        gone = torch.ones(each, dtype=torch.bool)
        gone[kept] = False
        gone = gone.repeat_interleave(width // each)
        with torch.no_grad():
            (last.weight.T if isinstance(last, torch.nn.Linear) else last.weight)[gone] = 0
    return model


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_left_answers_as_the_whole_with_the_rest_silenced(family, tmp_path):
    given, found = predictor(family), scores(family)
    size = Size(3, 1 if family in HEADED else size_of(found).groups, 16)
    small, kept = narrowed(given.model, found, size)
    assert kept == [0, 1, 2]
    wanted = answers(silenced(given.model, found, size), given.task, given.processor)
    assert torch.allclose(answers(small, given.task, given.processor), wanted, atol=1e-5)
    small.save_pretrained(tmp_path)
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert torch.equal(answers(again, given.task, given.processor), answers(small, given.task, given.processor))
    count = sum(value.numel() for value in given.model.parameters()) - sum(
        value.numel() for value in again.parameters()
    )
    assert count > 3 * 32 * (48 - 16)


def test_blocks_that_turn_states_least_go_first_and_the_rest_keeps_its_order():
    given, found = predictor("bert"), scores("bert")
    small, kept = narrowed(given.model, found, Size(2, 4, 48))
    assert kept == [0, 2] and small.config.num_hidden_layers == 2
    old, new = heads.layers(given.model), heads.layers(small)
    for place, block in enumerate(kept):
        for one, other in zip(old[block].parameters(), new[place].parameters(), strict=True):
            assert torch.equal(one, other)


@pytest.mark.parametrize("family", [name for name in FAMILIES if name not in HEADED])
def test_heads_stay_where_a_configuration_has_no_words_for_their_size(family):
    with pytest.raises(ModelError) as caught:
        narrowed(predictor(family).model, scores(family), Size(3, 2, 48))
    assert caught.value.code == "compress.heads-stay"


def test_an_encoder_decoder_has_no_one_stack():
    model = AutoModelForSequenceClassification.from_config(
        T5Config(d_model=16, d_ff=32, num_layers=2, num_heads=2, vocab_size=16)
    )
    with pytest.raises(ModelError) as caught:
        parts(model)
    assert caught.value.code == "compress.no-parts"


def moved_by_hand(given, layer, places):
    """How far each row's loss moves to first order as the values at `places` of what a layer reads become 0, by differences."""
    step, total = 1e-3, 0.0
    for row in ROWS[:8]:
        losses = []
        for scale in (1 + step, 1 - step):

            def change(_, read, scale=scale):
                value = read[0].clone()
                value[..., places] *= scale
                return (value,)

            hook = layer.register_forward_pre_hook(change)
            batch = given.task.collate([given.task.encode(row, given.processor)], given.processor)
            with torch.no_grad():
                logits = given.task.forward(given.model.double(), batch)
            losses.append(float(torch.nn.functional.cross_entropy(logits, batch["labels"])))
            hook.remove()
        total += abs(losses[0] - losses[1]) / (2 * step)
    return total


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_importance_is_how_far_each_rows_loss_would_move(family):
    given = predictor(family)
    found = measured(given, ROWS[:8])
    assert size_of(found) == Size(3, 4, 48)
    attentions, layers = parts(given.model)
    assert float(found.units[1, 7]) == pytest.approx(moved_by_hand(given, layers[1].last, [7]), rel=1e-3)
    places = list(range(8, 16))  # the second of four heads
    assert float(found.heads[2, 1]) == pytest.approx(moved_by_hand(given, attentions[2].last, places), rel=1e-3)


def idle(block):
    """A model of which one block hands on what it is given."""
    given = predictor("gpt2")
    attentions, layers = parts(given.model)
    with torch.no_grad():
        for part in (attentions[block], layers[block]):
            part.last.weight.zero_(), part.last.bias.zero_()
    return given


def test_a_block_that_changes_nothing_is_the_least_important():
    found = measured(idle(1), ROWS[:8]).blocks
    assert float(found[1]) == pytest.approx(0, abs=1e-6) and (found[[0, 2]] > 1e-4).all()


def test_measuring_leaves_the_model_as_it_was():
    given = predictor("bert")
    before = {name: value.clone() for name, value in given.model.state_dict().items()}
    measured(given, ROWS[:4])
    assert all(value.grad is None for value in given.model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in given.model.state_dict().items())


def test_blocks_are_taught_what_the_next_one_was_used_to():
    made = Pruning(width=0.0, layers=0.4).apply(idle(1), ROWS)  # the blocks 0 and 2 stay
    assert made.teaching.pairs == ((0, 1), (1, 2))


@pytest.mark.parametrize(
    ("code", "settings", "rows"),
    [
        ("compress.few-rows", {}, 3),
        ("compress.nothing-out", {"width": 0.0}, 40),
        ("compress.nothing-out", {"width": 0.0, "layers": 0.1}, 40),
        ("compress.heads-stay", {"heads": 0.5}, 40),
    ],
)
def test_what_can_not_be_done_is_one_sentence(code, settings, rows):
    with pytest.raises((ModelError, UsageError)) as caught:
        Pruning(**settings).apply(predictor("bert"), ROWS[:rows])
    assert caught.value.code == code and "{" not in str(caught.value)
