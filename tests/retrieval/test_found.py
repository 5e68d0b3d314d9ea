import numpy
import pytest

from jishi.retrieval import nearest
from jishi.retrieval.found import best, fuse


def test_the_best_come_first_and_of_equals_the_first():
    scores = numpy.array([0.1, 0.5, 0.5, 0.9, 0.5])
    assert [place for place, _ in best(scores, 3)] == [3, 1, 2]
    assert [place for place, _ in best(scores, 9)] == [3, 1, 2, 4, 0]
    assert best(numpy.array([]), 3) == []


def test_fusion_adds_reciprocal_places_worked_out_by_hand():
    """7 stands first and second: 1/61 + 1/62; 5 second only: 1/62; 9 first only: 1/61."""
    found = fuse([[(7, 0.9), (5, 0.8)], [(9, 30.0), (7, 2.0)]], 10)
    assert found == [(7, 1 / 61 + 1 / 62), (9, 1 / 61), (5, 1 / 62)]
    assert fuse([[(7, 0.9)], []], 1) == [(7, 1 / 61)]


def unit(count, width=16, seed=0):
    vectors = numpy.random.default_rng(seed).normal(size=(count, width)).astype("f")
    return vectors / numpy.linalg.norm(vectors, axis=1, keepdims=True)


def test_exact_search_is_that_of_a_full_sort():
    vectors, queries = unit(300), unit(5, seed=1)
    expected = numpy.argsort(-(queries @ vectors.T), axis=1)[:, :7]
    assert [[place for place, _ in row] for row in nearest.Exact(vectors).find(queries, 7)] == expected.tolist()


def test_the_graph_finds_nearly_all_that_exact_search_finds():
    pytest.importorskip("faiss", reason="needs the extra retrieval")
    vectors, queries = unit(2000), unit(50, seed=1)
    exact, graph = nearest.Exact(vectors).find(queries, 10), nearest.Graph(vectors).find(queries, 10)
    shared = [len({p for p, _ in one} & {p for p, _ in other}) for one, other in zip(exact, graph, strict=True)]
    assert sum(shared) / 500 > 0.95
    assert graph[0][0][1] == pytest.approx(exact[0][0][1], abs=1e-5)


def test_what_may_be_right_unsaid_is_no_negative():
    """The right one (4) has 0.8; 5 % below it is 0.76."""
    found = [(2, 0.9), (4, 0.8), (1, 0.77), (3, 0.75), (5, 0.5), (0, 0.4)]
    assert nearest.hard(found, [4], 0.8, margin=0.05, count=2) == [3, 5]
    assert nearest.hard(found, [4, 3], 0.8, margin=0.05, count=1) == [5]
    assert nearest.hard(found, [4], 0.8, margin=0.0, count=1) == [1]
