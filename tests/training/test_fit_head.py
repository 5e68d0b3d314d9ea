"""The fitted head is scikit-learn's logistic regression on the same states."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from torch import nn

from jishi.core.errors import TrainingError
from jishi.tasks.text_classification import TextClassification
from jishi.training.fit_head import STRENGTHS, choose_strength, fit_head


class Plain(nn.Module):
    """A model whose states are its inputs: (B, 3) in, logits (B, 3 labels) out."""

    device = torch.device("cpu")

    def __init__(self) -> None:
        super().__init__()
        self.classifier = nn.Linear(3, 3)

    def forward(self, states: torch.Tensor) -> SimpleNamespace:
        return SimpleNamespace(logits=self.classifier(states))


class Points(TextClassification):
    """Rows that are points already."""

    def collate(self, features, processor):
        return {
            "states": torch.tensor(np.stack([row["point"] for row in features]), dtype=torch.float32),
            "labels": torch.tensor([row["label"] for row in features]),
        }


@pytest.fixture
def points() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    return rng.normal(size=(60, 3)) * [1, 20, 0.1] + labels[:, None] * [1, 5, 0.1] + [0, 100, 0], labels


def test_head_is_penalised_logistic_regression_on_standardised_states(points) -> None:
    states, labels = points
    model, task = Plain(), Points(problem="single", labels=("a", "b", "c"))
    features = [{"point": point, "label": label, "length": 1} for point, label in zip(states, labels, strict=True)]
    found = fit_head(model, task, None, features, ["classifier"], strength=0.05)
    standard = (states - states.mean(0)) / states.std(0)
    peer = LogisticRegression(C=0.05, tol=1e-8, max_iter=5000).fit(standard, labels)
    with torch.no_grad():
        ours = model(torch.tensor(states, dtype=torch.float32)).logits.softmax(-1).numpy()
    np.testing.assert_allclose(ours, peer.predict_proba(standard), atol=2e-3)
    assert found["loss_after"] < found["loss_before"]


def test_the_strength_is_the_strongest_penalty_within_a_standard_error_of_the_best(points) -> None:
    """Held-out losses by scikit-learn on the same folds: row i of the shuffled rows, sorted by label, is in fold i mod 5."""
    states, labels = points
    task, linear = Points(problem="single", labels=("a", "b", "c")), nn.Linear(3, 3)
    standard = ((states - states.mean(0)) / states.std(0)).astype(np.float32)
    batch = {"states": torch.tensor(standard), "labels": torch.tensor(labels)}
    shuffled = torch.randperm(60, generator=torch.Generator().manual_seed(7)).numpy()
    shuffled = shuffled[np.argsort(labels[shuffled], kind="stable")]
    losses = np.zeros((5, len(STRENGTHS)))
    for fold in range(5):
        held = shuffled[fold::5]
        rest = np.setdiff1d(np.arange(60), held)
        for place, strength in enumerate(STRENGTHS):
            peer = LogisticRegression(C=strength, tol=1e-8, max_iter=5000).fit(standard[rest], labels[rest])
            losses[fold, place] = log_loss(labels[held], peer.predict_proba(standard[held]), labels=[0, 1, 2])
    best = losses.mean(0).argmin()
    limit = losses.mean(0)[best] + losses[:, best].std(ddof=1) / 5**0.5
    expected = next(s for s, loss in zip(STRENGTHS, losses.mean(0), strict=True) if loss <= limit)
    assert expected < STRENGTHS[best]  # else the test would not tell the rule from the minimum
    assert choose_strength(task, linear, [batch], seed=7) == expected


def test_a_state_that_only_shows_rounding_has_no_weight(points) -> None:
    """Real bases have constant states; their rounding noise, standardised, would drown the others on new rows."""
    states, labels = points
    states = states.copy()
    states[:, 1] = 5 + 1e-6 * np.random.default_rng(1).normal(size=len(states))
    model, task = Plain(), Points(problem="single", labels=("a", "b", "c"))
    features = [{"point": point, "label": label, "length": 1} for point, label in zip(states, labels, strict=True)]
    fit_head(model, task, None, features, ["classifier"], strength=1.0)
    assert model.classifier.weight[:, 1].tolist() == [0, 0, 0]
    assert model.classifier.weight[:, 0].abs().min() > 0


def test_a_head_of_two_layers_is_refused() -> None:
    model = Plain()
    model.classifier = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    with pytest.raises(TrainingError) as raised:
        fit_head(model, Points(problem="single", labels=("a", "b", "c")), None, [], ["classifier"])
    assert raised.value.code == "training.no-linear-head"
