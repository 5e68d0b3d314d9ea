"""Questions filed under their texts."""

import json

import pytest

from jishi.core.errors import DataError, RowError
from jishi.data.sources import formats
from jishi.data.sources.limits import Limits

QAS = [
    {"id": "1", "question": "Who?", "answers": [{"text": "Ann", "answer_start": 0}]},
    {"id": "2", "question": "When?"},
]
ARTICLES = [
    {"title": "A", "paragraphs": [{"context": "Ann ran.", "qas": QAS}, {"context": "Bob sat.", "qas": QAS[:1]}]},
    {"title": "B", "paragraphs": []},
]
ROWS = [
    {"title": "A", "context": "Ann ran.", **QAS[0]},
    {"title": "A", "context": "Ann ran.", **QAS[1]},
    {"title": "A", "context": "Bob sat.", **QAS[0]},
]


@pytest.fixture
def read(tmp_path):
    def of(content, name="a.json", **limits):
        path = tmp_path / name
        path.write_text(content, encoding="utf-8")
        found = formats.rows(path, Limits(**limits))
        return [(where.rpartition("/")[2], raw.code if isinstance(raw, RowError) else raw) for where, raw in found]

    return of


@pytest.mark.parametrize("indent", [None, 1])
def test_a_squad_file_gives_a_row_a_question(read, indent):
    whole = json.dumps({"version": "v2.0", "data": ARTICLES, "more": 1}, indent=indent)
    assert [raw for _, raw in read(whole)] == ROWS


def test_articles_and_paragraphs_are_read_from_arrays_and_lines_too(read):
    assert [raw for _, raw in read(json.dumps(ARTICLES))] == ROWS
    assert [raw for _, raw in read("\n".join(map(json.dumps, ARTICLES)), "a.jsonl")] == ROWS
    assert [raw for _, raw in read(json.dumps(ARTICLES[0]["paragraphs"]))] == [
        {key: value for key, value in row.items() if key != "title"} for row in ROWS
    ]


def test_a_cmrc_file_has_names_of_its_own(read):
    found = read(
        json.dumps([{"context_text": "安娜", "qas": [{"query_text": "谁？", "query_id": "Q", "answers": ["安娜"]}]}])
    )
    assert [raw for _, raw in found] == [{"context": "安娜", "question": "谁？", "id": "Q", "answers": ["安娜"]}]


def test_a_place_leads_to_the_question(read):
    places = [where for where, _ in read(json.dumps({"data": ARTICLES}, indent=1))]
    assert places == ["a.json:3 paragraphs[0] qas[0]", "a.json:3 paragraphs[0] qas[1]", "a.json:3 paragraphs[1] qas[0]"]


def test_what_is_no_question_is_refused_in_its_place(read):
    broken = {"data": [{"paragraphs": {"context": "x"}}, {"paragraphs": [{"context": "x", "qas": ["Who?"]}]}]}
    assert read(json.dumps(broken)) == [
        ("a.json:1", "data.not-a-list-of-objects"), ("a.json:1 paragraphs[0] qas[0]", "data.not-an-object")
    ]  # fmt: skip


def test_an_article_may_be_larger_than_a_row_and_is_bounded_still(read):
    content = json.dumps({"data": ARTICLES})
    assert len(content) > 256 and [raw for _, raw in read(content, row_bytes=256)] == ROWS
    with pytest.raises(DataError, match="max_row_bytes"):
        read(json.dumps({"data": [{"paragraphs": [{"context": "x" * 10**6, "qas": QAS}]}]}), row_bytes=256)


def test_a_line_with_data_of_another_kind_is_a_row(read):
    assert read('{"data": [1, 2], "text": "x"}\n{"data": [3], "text": "y"}') == [
        ("a.json:1", {"data": [1, 2], "text": "x"}), ("a.json:2", {"data": [3], "text": "y"})
    ]  # fmt: skip
