"""Unlabelled rows in every step: which come and how varied, and a loss that is the formula's."""

from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import tiny
from jishi.augmentation.flip import Flip
from jishi.augmentation.synonym import Synonym
from jishi.core.errors import TrainingError
from jishi.regularization.r_drop import RDrop
from jishi.semi_supervision.fixmatch import FixMatch
from jishi.semi_supervision.uda import UDA
from jishi.tasks.text_classification import TextClassification
from jishi.training.consistency import UNKNOWN, Consistency
from jishi.training.loop import Loop
from jishi.training.spec import TrainSpec

TASK = TextClassification(problem="single", labels=("bad", "good"), prefix="", max_length=32)
NUMBERS = [f"n{number}" for number in range(7)]
PROCESSOR = tiny.tokenizer(
    f"my money cash is good bad nice fine poor {' '.join(NUMBERS)} {' '.join(map(chr, range(97, 123)))}"
)
ROWS = [{"text": f"my money is {word}", "label": word} for word in ("good", "bad")] * 2
OTHERS = [{"text": f"{number} money"} for number in NUMBERS]
MUCH = (Synonym(share=1.0, rate=1.0),)  # "money" becomes "cash"


def made(method: Any = None, rows: Any = OTHERS, **settings: Any) -> Consistency:
    asked = TrainSpec(**{"max_unknown": 0.5, **settings})
    return Consistency.of(method or FixMatch(strong=MUCH), TASK, rows, PROCESSOR, asked, len(ROWS))


def words(features: Any) -> list[str]:
    return [PROCESSOR.decode(row["input_ids"], skip_special_tokens=True) for row in features]


def test_each_labelled_row_brings_so_many_others_hardly_varied_and_varied_much() -> None:
    weak, strong = (words(part) for part in halves(made().beside([0, 3, 1], 5, 0, training=True)))
    assert len(weak) == 6 and all(text.endswith("money") for text in weak)
    assert strong == [text.replace("money", "cash") for text in weak]
    plain = words(made().beside([0, 3, 1], 5, 0, training=False))
    assert plain == weak * 2
    assert all(row["labels"] == UNKNOWN for row in made().beside([0], 5, 0, training=True))


def halves(found: list[Any]) -> tuple[list[Any], list[Any]]:
    return found[: len(found) // 2], found[len(found) // 2 :]


def test_all_rows_are_seen_as_often_and_in_another_order_in_each_pass() -> None:
    one = made(FixMatch(ratio=7, strong=()))
    passes = [words(one.beside([row], 0, epoch, training=True))[:7] for epoch in range(2) for row in range(4)]
    assert all(sorted(seen) == sorted(f"{number} money" for number in NUMBERS) for seen in passes)
    assert len({tuple(seen) for seen in passes}) == 8
    again = made(FixMatch(ratio=3, strong=()))
    seen = Counter(words(again.beside(range(4), 0, 0, training=True) + again.beside(range(4), 0, 1, training=True)))
    assert set(seen.values()) == {6, 8}  # 24 draws of 7 rows, three or four each, twice: weak and strong


def test_the_loss_is_that_of_the_labels_and_the_divergence_of_what_is_said_of_rows_varied_much() -> None:
    outputs = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 0.1], [1.0, 0.0], [0.0, 3.0]], requires_grad=True)
    batch = {"labels": torch.tensor([0, *[UNKNOWN] * 4])}
    found = made(FixMatch(threshold=0.8, weight=0.5, strong=MUCH)).loss(
        None, batch, lambda given: TASK._problem.loss(TASK, outputs, given["labels"])
    )
    # A labelled row at even odds: ln 2. Of (2, 0) one is 0.88 sure: its strong view (1, 0) says −ln(e / (e + 1)) = 0.3133;
    # of (0, 0.1) only 0.52: nothing. The mean over both is half of that.
    assert found.value.item() == pytest.approx(0.693147 + 0.5 * 0.313262 / 2, abs=1e-5)
    assert found.parts == {"unlabelled_loss": pytest.approx(0.313262 / 2, abs=1e-5), "accepted_share": 0.5}
    assert found.weight(1) == 1
    found.value.backward()
    assert outputs.grad is not None
    assert outputs.grad[1:3].abs().sum() == 0  # what is to be learnt does not learn
    assert outputs.grad[3].abs().sum() > 0 and outputs.grad[4].abs().sum() == 0


def test_soft_targets_are_held_by_divergence_and_do_not_learn() -> None:
    """Weak and strong alike, and nothing sharpened: nothing apart; sharpened, only what was varied much is moved."""
    outputs = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 0.0]], requires_grad=True)
    batch = {"labels": torch.tensor([0, UNKNOWN, UNKNOWN])}
    ask = lambda given: TASK._problem.loss(TASK, outputs, given["labels"])  # noqa: E731
    found = made(UDA(threshold=0.0, temperature=1.0, strong=MUCH)).loss(None, batch, ask)
    assert found.parts["unlabelled_loss"] == pytest.approx(0.0, abs=1e-6)
    made(UDA(threshold=0.0, temperature=0.5, strong=MUCH)).loss(None, batch, ask).value.backward()
    assert outputs.grad is not None
    assert outputs.grad[1].abs().sum() == 0 and outputs.grad[2].abs().sum() > 0


def test_the_weight_rises_over_the_ramp() -> None:
    outputs = torch.tensor([[0.0, 0.0], [2.0, 0.0], [1.0, 0.0]])
    one, values = made(FixMatch(threshold=0.5, ramp=0.4, strong=MUCH)), []
    for done in (0.0, 0.2, 0.4, 0.9):
        found = one.paced(lambda done=done: done).loss(
            None,
            {"labels": torch.tensor([0, UNKNOWN, UNKNOWN])},
            lambda _: SimpleNamespace(value=torch.tensor(0.0), outputs=outputs, parts={}, count=1),
        )
        values.append(float(found.value))
    assert values == pytest.approx([0.0, 0.313262 / 2, 0.313262, 0.313262], abs=1e-5)


def test_words_of_unlabelled_rows_and_of_their_variations_learn_too(tmp_path: Path) -> None:
    def used(beside: Consistency | None) -> set[int]:
        model = tiny.sequence_classifier(len(PROCESSOR), num_labels=2)
        loop = Loop(
            model, TASK, PROCESSOR, TrainSpec(max_unknown=0.5, precision="fp32", threads=1, epochs=9), train=ROWS,
            validation=None, head=["classifier"], learning_rate=1e-2, folder=tmp_path, seed=0, unlabelled=beside,
        )  # fmt: skip
        assert loop.records is False
        return set(loop.used.used.tolist()) if loop.used else set()

    more = set(PROCESSOR.convert_tokens_to_ids([*NUMBERS, "cash"]))
    assert more <= used(made()) and not more & used(None)


def test_what_does_not_go_with_it_says_so() -> None:
    with pytest.raises(TrainingError, match="fixmatch works out a loss .* train.regularize"):
        made(regularize=(RDrop(),))
    with pytest.raises(TrainingError, match="epochs=0 has none"):
        made(epochs=0)
    with pytest.raises(TrainingError, match="unlabelled.method.strong=flip varies columns of the kind image"):
        made(FixMatch(strong=(Flip(),)))
    with pytest.raises(TrainingError, match="unlabelled.method.strong=synonym changed none"):
        made(FixMatch(strong=MUCH), rows=[{"text": "n0"}])
    with pytest.raises(TrainingError, match="unknown"):
        made(rows=[{"text": "money 国 家 大 事"}], max_unknown=0.2)
