"""Which rows are asked together."""

import numpy

from jishi.models import inference
from jishi.models.graph_model import Graph


def test_rows_of_like_length_are_asked_together_by_hand():
    lengths = [10] * 20 + [12] * 10 + [100, 104]
    order = list(range(32))
    assert inference._groups(order, lengths, 4096) == [order]
    # 20 rows of 10 beside one of 12 are 40 tokens of padding, of 32 at most 64: not worth asking again; beside 100 they are
    assert inference._groups(order, lengths, 4096, padded=False) == [order[:30], order[30:]]
    # 40 rows of 10 take 80 tokens of padding beside one of 12, which is more than 64 and than an eighth of 400
    assert [len(group) for group in inference._groups(range(50), [10] * 40 + [12] * 10, 4096, padded=False)] == [40, 10]
    parted = inference._groups(range(43), [10] * 40 + [12] * 2 + [60], 4096, padded=False)
    assert [len(group) for group in parted] == [40, 2, 1]  # 96 tokens of padding in the last two together
    assert [len(group) for group in inference._groups(range(5), [30, 40, 50, 60, 70], 100, padded=False)] == [
        2,
        1,
        1,
        1,
    ]


class Told:
    """A task that tells which lengths were asked together."""

    generates = False

    def arrays(self, features, processor):
        self.seen = [*getattr(self, "seen", ()), [row["length"] for row in features]]
        return {"lengths": numpy.asarray([[row["length"]] for row in features])}

    def forward(self, model, batch):
        return batch["lengths"]


def test_a_graph_reads_little_padding_and_answers_in_the_order_given(tmp_path):
    task, lengths = Told(), [200, 5, 6, 190, 5]
    found = inference.outputs(task, Graph(tmp_path, {}, (), dict), [{"length": length} for length in lengths], None)
    assert [int(one[0]) for one in found] == lengths and task.seen == [[5, 5, 6], [190, 200]]


def test_answers_that_are_written_share_their_steps_whatever_the_length(tmp_path):
    task, lengths = Told(), [200, 5, 6, 190, 5]
    task.generates = True
    inference.outputs(task, Graph(tmp_path, {}, (), dict), [{"length": length} for length in lengths], None)
    assert task.seen == [sorted(lengths)]
