import pytest
import torch

from jishi.training.optimizer import build, in_modules, set_rate
from jishi.training.spec import TrainSpec
from points import Net


def groups(learning_rate=1e-4, head=("head",), **settings):
    """(rate, decay) by parameter name."""
    model = Net()
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    optimizer = build(model, list(head), TrainSpec(**settings), learning_rate)
    return {
        names[id(parameter)]: (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for parameter in group["params"]
    }


def test_matrices_decay_and_biases_do_not():
    assert groups(weight_decay=0.1) == {
        "body.weight": (1e-4, 0.1),
        "body.bias": (1e-4, 0.0),
        "head.weight": (1e-3, 0.1),
        "head.bias": (1e-3, 0.0),
    }


def test_the_head_takes_the_rate_it_is_given():
    found = groups(head_learning_rate=5e-3)
    assert found["head.weight"][0] == 5e-3 and found["body.weight"][0] == 1e-4


def test_the_head_is_never_slower_than_the_rest():
    assert groups(learning_rate=0.5)["head.weight"][0] == 0.5


def test_frozen_weights_are_not_in_the_optimizer():
    model = Net()
    model.body.requires_grad_(False)
    optimizer = build(model, ["head"], TrainSpec(), 1e-4)
    held = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    assert {id(parameter) for parameter in held} == {id(parameter) for parameter in model.head.parameters()}


def test_a_wrapped_module_is_still_the_head():
    assert in_modules("base_model.model.classifier.modules_to_save.default.weight", ["classifier"])
    assert in_modules("classifier.weight", ["classifier"])
    assert not in_modules("subclassifier.weight", ["classifier"])
    assert not in_modules("encoder.classifier_norm.weight", ["classifier"])


@pytest.mark.parametrize(
    ("scheduler", "expected"),
    [
        # 10 steps of which 2 warm up: 1/2, 2/2, then 8 steps from 8/8 down to 1/8
        ("linear", [0.5, 1, 1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125]),
        # ½ (1 + cos(π k / 8)) for k = 0 … 7 after the warm-up
        ("cosine", [0.5, 1, 1, 0.961940, 0.853553, 0.691342, 0.5, 0.308658, 0.146447, 0.038060]),
        ("constant", [0.5, 1, 1, 1, 1, 1, 1, 1, 1, 1]),
    ],
)
def test_the_schedule_is_the_one_worked_out_by_hand(scheduler, expected):
    spec = TrainSpec(scheduler=scheduler, warmup=0.2, head_learning_rate=4e-3)
    optimizer = build(Net(), ["head"], spec, 2e-3)
    assert [set_rate(optimizer, spec, step, 10) for step in range(10)] == pytest.approx(expected, abs=1e-6)
    peaks = [2e-3, 2e-3, 4e-3, 4e-3]  # body and head, each with and without decay
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx(
        [peak * expected[-1] for peak in peaks], rel=1e-4
    )


def test_no_warm_up_starts_at_the_peak():
    spec = TrainSpec(warmup=0.0)
    assert set_rate(build(Net(), [], spec, 1e-3), spec, 0, 4) == 1.0


def test_warm_up_through_all_steps_ends_at_the_peak():
    spec = TrainSpec(warmup=1.0)
    optimizer = build(Net(), [], spec, 1e-3)
    assert [set_rate(optimizer, spec, step, 4) for step in range(4)] == [0.25, 0.5, 0.75, 1.0]


def test_sgd_is_the_one_asked_for():
    assert isinstance(build(Net(), [], TrainSpec(optimizer="sgd"), 1e-3), torch.optim.SGD)
    assert isinstance(build(Net(), [], TrainSpec(), 1e-3), torch.optim.AdamW)
