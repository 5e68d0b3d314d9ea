import numpy
import pytest
import torch

from jishi.core.contracts import Base
from jishi.core.errors import UsageError
from jishi.models import beside, heads
from jishi.objectives.causal_lm import CausalLM
from jishi.objectives.masked_lm import MaskedLM
from jishi.objectives.replaced_token_detection import ReplacedTokenDetection, _drawn
from jishi.objectives.weighted import Weighted
from jishi.training.packing import packable
from tiny import masked_lm, tokenizer

WORDS = " ".join(f"w{number}" for number in range(40))
PROCESSOR = tokenizer(WORDS)


def ready(share: float = 0.5):
    objective = ReplacedTokenDetection(hides=MaskedLM(share=share), weight=10.0)
    model = masked_lm(45)
    config = heads.PooledConfig(model.config.to_dict(), pooling="cls", dropout=0.0, num_labels=2)
    beside.add(model, "ForTokenClassification", config)
    rng = numpy.random.default_rng(0)
    rows = [objective.encode({"text": " ".join(WORDS.split()[:count])}, PROCESSOR) for count in (9, 4)]
    batch = objective.collate([objective.vary(row, PROCESSOR, rng, training=True) for row in rows], PROCESSOR)
    return objective, model.eval(), batch


def test_tokens_are_drawn_as_often_as_they_are_likely():
    chances = torch.tensor([0.5, 0.2, 0.3])
    draws = torch.linspace(0, 1, 1002)[1:-1]
    found = _drawn(chances.log().expand(1000, 3), draws).bincount(minlength=3) / 1000
    torch.testing.assert_close(found, chances, rtol=0, atol=2e-3)
    assert _drawn(torch.zeros(1, 4), torch.tensor([1.0])).tolist() == [3]


def test_the_loss_is_of_writing_into_gaps_and_of_telling_every_token():
    objective, model, batch = ready()
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    gaps = [tuple(place) for place in (batch["labels"] != -100).nonzero().tolist()]
    logits = model(**inputs).logits
    writing = -sum(logits[place].log_softmax(-1)[batch["labels"][place]] for place in gaps) / len(gaps)
    shown = batch["input_ids"].clone()
    for place in gaps:  # the first token whose summed probability passes the draw
        sums = logits[place].softmax(-1).cumsum(-1)
        shown[place] = int((sums < batch["draws"][place] * sums[-1]).sum())
    states = model.bert(shown, attention_mask=batch["attention_mask"]).last_hidden_state
    chances = model.beside[0].classifier(states).softmax(-1)
    telling, count = 0.0, 0
    for row, length in enumerate((11, 6)):  # nine and four words and two marks
        for column in range(length):
            true = batch["labels"][row, column] if (row, column) in gaps else batch["input_ids"][row, column]
            telling -= float(chances[row, column, int(shown[row, column] != true)].log().detach())
            count += 1
    found = objective.loss(model, batch)
    assert found.value.item() == pytest.approx(writing.item() + 10 * telling / count, abs=1e-4)
    assert found.parts["telling"] == pytest.approx(telling / count, abs=1e-5)
    assert found.count == len(gaps) and 0 <= found.parts["right"] <= 1


def test_both_heads_and_the_backbone_learn_and_padding_can_be_left_out():
    objective, model, batch = ready()
    objective.loss(model, batch).value.backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in model.beside.parameters())
    assert model.bert.encoder.layer[0].attention.self.query.weight.grad.abs().sum() > 0
    assert packable(model, objective, batch)


def test_the_telling_head_is_not_taught_by_padding_and_sends_nothing_through_what_was_drawn():
    objective, model, batch = ready()
    longer = {
        name: torch.nn.functional.pad(value, (0, 5), value=-100 if name == "labels" else 0)
        for name, value in batch.items()
    }
    assert objective.loss(model, longer).value.item() == pytest.approx(
        objective.loss(model, batch).value.item(), abs=1e-4
    )


def test_its_settings_are_those_of_what_hides():
    objective = ReplacedTokenDetection().initialize([], Base("tiny", "text", max_length=8))
    assert objective.hides.max_length == 8 and objective.columns == MaskedLM.columns
    assert objective.head().architecture == "ForMaskedLM" and len(objective.head().beside) == 1


@pytest.mark.parametrize("hides", [CausalLM(), Weighted()])
def test_what_hides_no_token_or_has_heads_of_its_own_is_refused(hides):
    with pytest.raises(UsageError, match=r"(causal-lm|weighted) hides no token.*masked-lm"):
        ReplacedTokenDetection(hides).initialize([], Base("tiny", "text"))
