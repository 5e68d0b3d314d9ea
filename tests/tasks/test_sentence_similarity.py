import math

import numpy
import pytest
import torch
from scipy.stats import spearmanr
from torch.nn.functional import normalize
from transformers import BertModel

from jishi.core.contracts import Base
from jishi.core.errors import DataError, RowError
from jishi.predictor import Predictor
from jishi.tasks import _contrast
from jishi.tasks.sentence_similarity import SentenceSimilarity
from tiny import _config, tokenizer

BASE = Base("tiny", "text", pooling="mean", prefix="query: ", passage_prefix="passage: ", max_length=32)
PROCESSOR = tokenizer("query : passage a b c d e f")
GRADED = [{"text": "a b", "text_pair": "a c", "score": 5}, {"text": "d e", "text_pair": "f", "score": "1"}]
PAIRS = [{"query": "a", "passage": "b c"}, {"query": "d", "passage": "e"}, {"query": "f", "passage": "a d"}]


def parsed(rows, task=None):
    return [(task or SentenceSimilarity()).parse(row) for row in rows]


def settled(rows, **settings):
    task = SentenceSimilarity(**settings)
    return task.initialize(parsed(rows, task), BASE)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return BertModel(_config(len(PROCESSOR)), add_pooling_layer=False).eval()


def vectors(*rows):
    return [normalize(torch.tensor(row), dim=-1) for row in rows]


# --- rows -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ({}, "tasks.no-sentence"),
        ({"text": "", "text_pair": None}, "tasks.no-sentence"),
        ({"text": " "}, "modalities.no-text"),
        ({"text": "a"}, "tasks.one-side"),
        ({"text_pair": "a"}, "tasks.one-side"),
        ({"query": "a"}, "tasks.one-side"),
        ({"query": "a", "passage": ""}, "tasks.one-side"),
        ({"passage": "a", "negative": "b"}, "tasks.one-side"),
        ({"text": "a", "passage": "b"}, "tasks.sides-mixed"),
        ({"text": "a", "text_pair": "b", "score": "high"}, "tasks.score-no-number"),
        ({"text": "a", "text_pair": "b", "score": float("nan")}, "tasks.score-no-number"),
    ],
)
def test_a_bad_row_is_refused_with_its_reason(row, code):
    with pytest.raises(RowError) as refused:
        SentenceSimilarity().parse(row)
    assert refused.value.code == code


def test_single_texts_train_where_they_are_asked_for_and_one_side_is_enough_for_an_answer():
    assert SentenceSimilarity(criterion="simcse").parse({"text": "a"})["text"] == "a"
    for row in ({"text": "a"}, {"query": "a"}, {"passage": "a"}):
        assert SentenceSimilarity().parse(row, training=False)["score"] is None
    with pytest.raises(RowError):
        SentenceSimilarity().parse({"text_pair": "a"}, training=False)


@pytest.mark.parametrize(
    ("rows", "criterion", "metric"), [(GRADED, "cosent", "spearman"), (PAIRS, "contrastive", "mrr")]
)
def test_the_rows_say_what_is_learnt_from_and_what_decides(rows, criterion, metric):
    task = settled(rows)
    assert (task.criterion, task.metric, task.pooling) == (criterion, metric, "mean")
    assert (task.prefix, task.passage_prefix) == ("query: ", "passage: ")


def test_what_a_user_sets_goes_before_the_base_but_no_text_is_longer_than_it_reads():
    task = settled(PAIRS, prefix="a ", passage_prefix="", max_length=8)
    assert (task.prefix, task.passage_prefix, task.max_length) == ("a ", "", 8)
    assert settled(PAIRS).max_length == settled(PAIRS, max_length=99).max_length == 32


def test_losses_that_hold_rows_against_each_other_say_so():
    given = {"cosine": GRADED, "triplet": [{**pair, "negative": "c"} for pair in PAIRS]}
    assert not [name for name, rows in given.items() if settled(rows, criterion=name).joint]
    assert all(settled(rows).joint for rows in (GRADED, PAIRS)) and settled([{"text": "a"}], criterion="simcse").joint


def test_held_out_scores_give_the_range_only_where_training_had_none():
    rows = parsed([{"text": "a", "text_pair": "b", "score": score} for score in (2, 8)])
    single, graded = settled([{"text": "a"}], criterion="simcse"), settled(GRADED)
    for task, expected in ((single, (2, 8)), (graded, (1, 5))):
        found = task.calibrate([], rows)
        assert (found.lowest, found.highest) == expected


def test_scores_of_any_scale_are_read_as_zero_to_one():
    task = settled([*GRADED, {"text": "a", "text_pair": "b", "score": 2}])
    assert (task.lowest, task.highest) == (1, 5)
    assert [task.encode(row, PROCESSOR)["labels"] for row in parsed([{"text": "a", "text_pair": "b", "score": 4}])] == [
        0.75
    ]


@pytest.mark.parametrize(
    ("rows", "settings", "code"),
    [
        ([*GRADED, {"text": "a", "text_pair": "b"}], {}, "tasks.scores-in-part"),
        (GRADED, {"criterion": "triplet"}, "tasks.loss-needs"),
        (PAIRS, {"criterion": "cosent"}, "tasks.loss-needs"),
        ([GRADED[0], GRADED[0]], {}, "tasks.one-score"),
    ],
)
def test_rows_that_do_not_fit_the_loss_are_refused(rows, settings, code):
    with pytest.raises(DataError) as refused:
        settled(rows, **settings)
    assert refused.value.code == code


def test_each_side_gets_its_own_prefix():
    task = settled(PAIRS)

    def words(row):
        found = task.encode(task.parse(row, training=False), PROCESSOR)
        parts = numpy.split(found["input_ids"], numpy.cumsum(found["sizes"])[:-1])
        names = {number: word for word, number in PROCESSOR.get_vocab().items()}
        return [" ".join(names[int(number)] for number in part) for part in parts]

    assert words({"query": "a", "passage": "b", "negative": "c"}) == [
        "[CLS] query : a [SEP]", "[CLS] passage : b [SEP]", "[CLS] passage : c [SEP]",
    ]  # fmt: skip
    assert words({"text": "a", "text_pair": "b", "negative": "c"}) == [f"[CLS] query : {w} [SEP]" for w in "abc"]
    assert words({"passage": "b"}) == ["[CLS] passage : b [SEP]"]


# --- losses -----------------------------------------------------------------------------------------------------------


def loss(name, rows, scores=None, keys=None, **settings):
    task = SentenceSimilarity(**settings)
    keys = keys or [tuple(10 * place + side for side in range(len(row))) for place, row in enumerate(rows)]
    total, count = _contrast.SUMS[name](task, rows, keys, torch.tensor(scores or [math.nan] * len(rows)))
    return float(total), count


def test_the_regression_of_the_cosine_is_worked_out_by_hand():
    """Cosines 0.6 and 0 beside 1 and 0.5: 0.16 + 0.25. A row without score has no part."""
    rows = vectors([[1.0, 0], [3, 4]], [[1.0, 0], [0, 1]], [[1.0, 0], [1, 0]])
    assert loss("cosine", rows, [1.0, 0.5, math.nan]) == (pytest.approx(0.41), 2)


def test_cosent_asks_only_for_the_order():
    """Cosines 0.6 > 0 with scores 0.1 < 0.9: log(1 + e^((0.6 − 0) / 0.5)) for each of two rows; in order: log(1 + e^−1.2)."""
    rows = vectors([[1.0, 0], [3, 4]], [[1.0, 0], [0, 1]])
    assert loss("cosent", rows, [0.1, 0.9], temperature=0.5) == (pytest.approx(2 * math.log1p(math.exp(1.2))), 2)
    assert loss("cosent", rows, [0.9, 0.1], temperature=0.5)[0] == pytest.approx(2 * math.log1p(math.exp(-1.2)))
    assert loss("cosent", rows, [0.5, 0.5])[0] == 0


def test_the_contrast_is_cross_entropy_over_all_passages_and_given_negatives():
    rows = vectors([[1.0, 0], [3, 4], [0, 1]], [[0, 1.0], [4, 3]])
    logits = torch.tensor([[0.6, 0.8, 0.0], [0.8, 0.6, 1.0]]) / 0.5  # passages of both rows, then the negative
    expected = -logits.log_softmax(-1)[torch.arange(2), torch.arange(2)].sum()
    assert loss("contrastive", rows, temperature=0.5) == (pytest.approx(float(expected)), 2)


def test_the_same_passage_and_those_of_an_equal_query_are_no_negatives():
    """Rows 0 and 1 share the passage; rows 0 and 2 the query; nothing is left against which row 0 could be wrong."""
    rows = vectors([[1.0, 0], [3, 4]], [[0, 1.0], [3, 4]], [[1.0, 0], [4, 3]])
    keys = [(1, 7), (2, 7), (1, 8)]
    row_1 = -(torch.tensor([0.8, 0.6]) / 0.5).log_softmax(-1)[0]
    assert loss("contrastive", rows, keys=keys, temperature=0.5) == (pytest.approx(float(row_1)), 3)
    repeated = vectors([[1.0, 0], [3, 4], [3, 4]], [[0, 1.0], [-1, 0]])  # a given negative that is the passage itself
    assert loss("contrastive", repeated, keys=[(1, 7, 7), (2, 8)], temperature=0.5)[0] == pytest.approx(
        float(
            -(torch.tensor([0.6, -1.0]) / 0.5).log_softmax(-1)[0]
            - (torch.tensor([0.0, 0.8, 0.8]) / 0.5).log_softmax(-1)[0]
        )
    )


def test_a_passage_that_says_what_was_asked_is_no_negative():
    """The passage of row 1 is the query of row 0: nothing is left against which row 0 could be wrong."""
    rows = vectors([[1.0, 0], [3, 4]], [[0, 1.0], [1, 0]])
    row_1 = -(torch.tensor([0.0, 0.8]) / 0.5).log_softmax(-1)[0]
    assert loss("contrastive", rows, keys=[(1, 7), (2, 1)], temperature=0.5)[0] == pytest.approx(float(row_1))


def test_a_text_finds_its_second_reading():
    rows = vectors([[1.0, 0], [3, 4]], [[0, 1.0], [4, 3]])
    expected = -(torch.tensor([[0.6, 0.8], [0.8, 0.6]]) / 0.5).log_softmax(-1).diagonal().sum()
    assert loss("simcse", rows, keys=[(1,), (2,)], temperature=0.5) == (pytest.approx(float(expected)), 2)
    assert loss("simcse", rows, keys=[(1,), (1,)], temperature=0.5)[0] == pytest.approx(
        0
    )  # the same text is no negative


def test_a_triplet_wants_the_margin():
    """Right 0.6, wrong 0.8: 0.2 + 0.8 − 0.6 = 0.4; right 1, wrong 0: nothing. A pair without negative has no part."""
    rows = vectors([[1.0, 0], [3, 4], [4, 3]], [[1.0, 0], [1, 0], [0, 1]], [[1.0, 0], [0, 1]])
    assert loss("triplet", rows) == (pytest.approx(0.4), 2)


def test_dropout_makes_the_two_readings_of_simcse_differ_in_training_only(model):
    task = settled([{"text": "a b"}, {"text": "c"}], criterion="simcse")
    batch = task.collate([task.encode(task.parse({"text": "a b"}), PROCESSOR)], PROCESSOR)
    (still,) = task.represent(model, batch)
    (moving,) = task.represent(model.train(), batch)
    assert torch.equal(still[0], still[1]) and not torch.allclose(moving[0], moving[1])


def in_pieces(model, rows):
    """The loss of rows of which each was asked for alone."""
    task = settled(rows)
    batches = [task.collate([task.encode(row, PROCESSOR)], PROCESSOR) for row in parsed(rows, task)]
    return task.compare([vector for batch in batches for vector in task.represent(model, batch)], batches)


def test_the_contrast_of_pieces_is_worked_out_from_the_cosines_of_all_pairs(model):
    """Rows 0 and 2 share the passage; that of row 1 only begins like it."""
    rows = [{"query": "a", "passage": "b c"}, {"query": "d", "passage": "b d"}, {"query": "f", "passage": "b c"}]
    predictor = Predictor(model, settled(rows), PROCESSOR, {})
    pairs = [{"query": row["query"], "passage": other["passage"]} for row in rows for other in rows]
    table = torch.tensor([answer["similarity"] for answer in predictor.predict(pairs)]).view(3, 3) / 0.05
    table[0, 2] = table[2, 0] = -math.inf
    found = in_pieces(model, rows)
    assert found.count == 3
    assert found.value.item() == pytest.approx(float(-table.log_softmax(1).diagonal().mean()), abs=1e-4)


def test_the_order_of_scores_is_that_of_all_pieces(model):
    """One pair in the wrong order counts once for each of two rows: the mean is log(1 + e^((low − high) / 0.05))."""
    high, low = (answer["similarity"] for answer in Predictor(model, settled(GRADED), PROCESSOR, {}).predict(GRADED))
    found = in_pieces(model, GRADED)
    assert (found.value.item(), found.count) == (pytest.approx(math.log1p(math.exp((low - high) / 0.05)), abs=1e-4), 2)


# --- answers ----------------------------------------------------------------------------------------------------------


def test_a_vector_is_the_mean_over_the_states_of_its_own_tokens(model):
    task = settled(GRADED)
    predictor = Predictor(model, task, PROCESSOR, {})
    (answer,) = predictor.predict(["a b"])
    ids = torch.tensor([PROCESSOR("query: a b")["input_ids"]])
    expected = normalize(model(ids).last_hidden_state.mean(1), dim=-1)[0]
    torch.testing.assert_close(torch.tensor(answer["embedding"]), expected, rtol=0, atol=1e-5)
    (pair,) = predictor.predict([{"text": "a b", "text_pair": "c d e f"}])
    (other,) = predictor.predict(["c d e f"])
    assert pair == {"similarity": pytest.approx(float(numpy.dot(answer["embedding"], other["embedding"])), abs=1e-5)}


def test_scores_are_those_of_scipy():
    rng = numpy.random.default_rng(0)
    scores, cosines = rng.integers(0, 5, 40).tolist(), rng.random(40).tolist()
    rows = parsed([{"text": "a", "text_pair": "b", "score": score} for score in scores])
    found = settled(GRADED).score([{"similarity": value} for value in cosines], rows)
    assert found["spearman"] == pytest.approx(spearmanr(scores, cosines).statistic)
    assert found["pearson"] == pytest.approx(numpy.corrcoef(scores, cosines)[0, 1])


def test_held_out_pairs_are_ranked_among_all_of_them(model):
    task = settled(PAIRS)
    rows = parsed(PAIRS)
    answers = Predictor(model, task, PROCESSOR, {}).examine(rows)
    queries, passages = (
        numpy.array(
            [a["embedding"] for a in Predictor(model, task, PROCESSOR, {}).predict([{side: r[side]} for r in rows])]
        )
        for side in ("query", "passage")
    )
    table = queries @ passages.T
    ranks = [1 + sum(other > table[i, i] for other in table[i]) for i in range(3)]
    assert [answer["rank"] for answer in answers] == ranks
    assert task.score(answers, rows)["mrr"] == pytest.approx(numpy.mean([1 / rank for rank in ranks]))
    assert [task.credit(answer, row) for answer, row in zip(answers, rows, strict=True)] == [1 / rank for rank in ranks]


def test_held_out_rows_that_can_not_judge_are_refused_before_training(model):
    predictor = Predictor(model, settled(GRADED), PROCESSOR, {})
    with pytest.raises(DataError, match="score, which spearman is made of"):
        predictor.examine(parsed(PAIRS))
    task = settled([{"text": "a"}, {"text": "b"}], criterion="simcse", judged_by="mrr")
    with pytest.raises(DataError, match="no pair, which mrr is made of"):
        Predictor(model, task, PROCESSOR, {}).examine(parsed([{"text": "a"}], task))


def test_the_plain_rival_ranks_by_terms_shared():
    rows = parsed([
        {"query": "退货 怎么 办", "passage": "退货 请 在 订单 页面 申请"},
        {"query": "发票 在哪 开", "passage": "发票 可以 在 订单 里 开"},
        {"query": "how to pay", "passage": "pay by card or phone"},
    ])  # fmt: skip
    task = settled(PAIRS)
    answers = task.baseline(rows).predict(rows)
    assert [answer["rank"] for answer in answers] == [1, 1, 1]
    assert all(0 < answer["similarity"] < 1 for answer in answers)
