"""The page of a run: whole, inert, readable in two languages, and with every figure where its number says."""

import json
import re

import pytest

from jishi.core import i18n
from jishi.lifecycle import figures, findings, parts, report, wording
from markup import ATTACK, Page

SCORE = {"value": 0.9, "low": 0.85, "high": 0.94}
RIVAL = {"value": 0.8, "low": 0.74, "high": 0.85}


def rival(difference=0.1, p_value=0.001):
    interval = {"difference": difference, "low": difference - 0.05, "high": difference + 0.05}
    return {"scores": {"accuracy": RIVAL, "macro_f1": RIVAL}, **interval, "p_value": p_value, "test": "mcnemar"}


def evaluation(**changed):
    bins = [{"rows": 50, "confidence": 0.8, "accuracy": 0.9, "low": 0.7, "high": 0.95, "first": 0.7, "last": 0.9}]
    return {
        "task": "text-classification", "metric": "accuracy", "rows": 200, "level": 0.95, "credit": 0.9, "sample": 200,
        "resamples": 1000,
        "scores": {"accuracy": SCORE, "macro_f1": SCORE},
        "rivals": {"tf-idf": rival(), "untuned": rival(0.5)},
        "details": {
            "per_class": [
                {"label": ATTACK, "precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 100},
                {"label": "good", "precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 100},
            ],
            "partial": {"right": 7, "boundary": 2, "missed": 1},
            "confusion": {"labels": [ATTACK, "good"], "matrix": [[90, 10], [10, 90]]},
        },
        "calibration": {"ece": 0.02, "brier": 0.08, "confidence": 0.88, "accuracy": 0.9, "bins": bins},
        "slices": [
            {"by": "text script", "value": ATTACK, "rows": 40, "share": 0.2, "credit": 0.5, "low": 0.4, "high": 0.6,
             "worse": True}
        ],
        "bad_cases": [
            {"row": 3, "input": {"text": ATTACK}, "reference": {"label": "good"},
             "prediction": {"label": ATTACK, "score": 0.99}, "confidence": 0.99, "credit": 0.0}
        ],
        **changed,
    }  # fmt: skip


def run(**changed):
    steps = [{"kind": "step", "step": step, "loss": 2 / step, "learning_rate": 1e-4} for step in range(1, 41)]
    judged = [{"kind": "validation", "step": step, "loss": 1.0, "accuracy": step / 50} for step in (20, 40)]
    return {
        "spec": {"data": {"train": ATTACK}},
        "data": {
            "rows": {"train": 1000, "test": 200},
            "labels": {"train": {ATTACK: 500, "test": 500}, "test": {ATTACK: 200}},
            "tokens": {
                "parts": {"train": {"median": 12.0, "truncated": 0.25}, "test": {"median": 13.0, "truncated": 0.0}}
            },
            "ledger": {
                "read": 1201,
                "refused": {"data.bad-row": 1},
                "samples": [{"where": "a.csv:7", "reason": ATTACK}],
            },
        },
        "events": [{"kind": "start", "step": 0, "unknown": 0.2, "truncated": 0.0}, *steps, *judged],
        "evaluation": evaluation(),
        "resources": {"seconds": 312.4, "peak_memory": 2**31, "parameters": 117653760},
        "versions": {"torch": "2.13.0"},
        **changed,
    }


def test_what_rows_say_is_text_and_never_markup():
    text = report.html(run())
    page = Page(text)
    assert "script" not in {tag for tag, _ in page.tags}
    assert "img" not in {tag for tag, _ in page.tags}
    assert text.count("&lt;script&gt;alert(1)") >= 6
    assert "".join(page.words).count(ATTACK) >= 6


def test_the_page_needs_nothing_but_itself_and_is_sound():
    page = Page(report.html(run()))
    assert page.open == []
    assert not [attrs for _, attrs in page.tags if {"src", "srcset", "data", "action"} & attrs.keys()]
    links = {attrs["href"] for tag, attrs in page.tags if "href" in attrs}
    places = {attrs["id"] for _, attrs in page.tags if "id" in attrs}
    assert links and {link.removeprefix("#") for link in links} <= places
    assert [attrs["content"] for _, attrs in page.tags if "http-equiv" in attrs] == [
        "default-src 'none'; style-src 'unsafe-inline'"
    ]
    assert "url(" not in report.html(run()) and "@import" not in report.html(run())


def test_both_languages_are_in_the_page_and_one_is_open():
    page = Page(report.html(run(), "zh"))
    checked = [attrs["id"] for tag, attrs in page.tags if tag == "input" and "checked" in attrs]
    assert checked == ["language-zh"]
    assert [attrs["lang"] for tag, attrs in page.tags if tag == "html"] == ["zh"]
    words = "".join(page.words)
    assert "Better than tf-idf by 0.100" in words and "比“tf-idf”高 0.100" in words
    spans = [attrs["lang"] for tag, attrs in page.tags if tag == "span" and "lang" in attrs]
    assert "right type, other edges类型正确，边界有误2" in words.replace("\n", "")
    assert spans.count("en") == spans.count("zh") > 40


def test_every_section_can_be_left_out():
    whole = run()
    for part in whole:
        Page(report.html({name: value for name, value in whole.items() if name != part}))
    for part in ("details", "calibration", "slices", "bad_cases", "rivals"):
        empty = type(evaluation()[part])()
        Page(report.html(run(evaluation=evaluation(**{part: empty}))))
    assert Page(report.html({})).open == []


def test_other_answers_than_labels_are_shown_too():
    span = {"start": 0, "end": 3, "label": "PER"}
    case = {"row": 0, "input": {"text": "Ann"}, "reference": {"spans": [span]}, "prediction": {"entities": []}}
    text = report.html({"evaluation": evaluation(bad_cases=[{**case, "confidence": None, "credit": 0.25}])})
    assert "0–3 [PER]" in text and "∅" in text and "0.250" in text
    assert wording.brief({"entities": [{**span, "text": "Ann", "score": 0.9}]}) == "Ann [PER]"
    assert wording.brief({"value": 2.5}) == "2.500"
    assert wording.brief({"labels": ["a", "b"], "scores": {}}) == "a, b"


def test_a_label_that_reads_like_a_heading_stays_itself():
    text = "".join(Page(report.html(run(), "zh")).words)
    row = text[text.index("标签") :]
    assert re.search(r"test\s*500", row)


def test_the_verdict_says_better_worse_or_unclear_by_sign_and_p_value():
    lines = findings.verdict(evaluation(rivals={"a": rival(0.1, 0.04), "b": rival(-0.1, 0.04), "c": rival(0.1, 0.06)}))
    assert [line.get("stands") for line in lines] == [None, "better", "worse", "unclear"]
    assert (lines[2]["difference_low"], lines[2]["difference_high"]) == (pytest.approx(0.05), pytest.approx(0.15))
    assert findings.verdict({}) == []


def test_cautions_name_what_should_worry_and_are_silent_otherwise():
    codes = [code for code, _ in findings.cautions(run())]
    assert codes == ["caution-slices", "caution-unknown"]
    bad = evaluation(
        rows=40,
        rivals={"tf-idf": rival(-0.1)},
        slices=[],
        calibration={**evaluation()["calibration"], "ece": 0.2},
        details={"per_class": [{"label": "x", "f1": 0.0, "support": 5}, {"label": "y", "f1": 0.0, "support": 0}]},
    )
    found = dict(findings.cautions({"evaluation": bad}))
    assert list(found) == ["caution-worse", "caution-missed", "caution-calibration", "caution-few-rows"]
    assert found["caution-missed"] == {"number": 1, "labels": "x"}
    assert findings.cautions({"evaluation": evaluation(slices=[])}) == []
    leak = {
        "rows": {"test": 200},
        "duplicates": {"across": {"train/test": 2}},
        "near_duplicates": {"across": {"train/test": 6}},
    }
    assert findings.cautions({"data": leak}) == [("caution-near-duplicates", {"rows": 6, "share": "3.0%"})]


def test_curves_run_where_the_numbers_say():
    loss, score, _ = figures.curves(run()["events"], "accuracy")
    training, validation = loss.lines
    assert (training.points[0], training.points[-1][0]) == ((pytest.approx(46 + 304 / 40), 14), 350)
    assert validation.points == [(pytest.approx(198), pytest.approx(102)), (350, pytest.approx(102))]  # 1.0 of 0 to 2
    assert score.lines[0].points[-1] == (350, 14)
    long = [{"kind": "step", "step": step, "loss": 1.0, "learning_rate": 0.1} for step in range(1, 10_001)]
    assert all(len(line.points) <= figures.POINTS for panel in figures.curves(long, "") for line in panel.lines)
    assert figures.curves([], "accuracy") == []


def test_ticks_are_round():
    assert [text for _, text in figures.nice(0, 1, 5)] == ["0", "0.2", "0.4", "0.6", "0.8", "1"]
    assert [text for _, text in figures.nice(0.83, 0.96, 5)] == ["0.85", "0.9", "0.95"]
    assert [text for _, text in figures.nice(0, 640, 4)] == ["0", "200", "400", "600"]


def test_many_classes_come_down_to_those_mistaken_most():
    labels = [f"{number:02}" for number in range(77)]
    matrix = [[40 if i == j else 0 for j in range(77)] for i in range(77)]
    matrix[5][70], matrix[70][5], matrix[8][9] = 10, 3, 1
    heat = figures.heat(labels, matrix)
    assert len(heat["labels"]) == 16 and {"05", "70", "08", "09"} <= set(heat["labels"]) and not heat["whole"]
    row = dict(heat["rows"])["05"]
    assert row[heat["labels"].index("70")] == (10, 20, False)
    assert row[heat["labels"].index("05")] == (40, 80, True)
    assert figures.confused(labels, matrix) == [
        {"truth": "05", "answer": "70", "rows": 10, "share": 0.2},
        {"truth": "70", "answer": "05", "rows": 3, "share": pytest.approx(3 / 43)},
    ]
    assert figures.heat(labels[:3], [row[:3] for row in matrix[:3]])["whole"]


def test_the_reliability_diagram_has_its_origin_below_left():
    assert figures.reliability(evaluation()["calibration"]["bins"], 100) == [
        {"x": 80.0, "y": pytest.approx(10), "low": pytest.approx(30), "high": pytest.approx(5), "radius": 5.0}
    ]


def test_what_is_told_by_part_becomes_one_table():
    table = parts.table(run()["data"])
    assert table["columns"] == ["train", "test"]
    assert table["rows"] == [
        (("rows",), [1000, 200]),
        (("tokens", "median"), [12.0, 13.0]),
        (("tokens", "truncated"), [0.25, 0.0]),
    ]
    assert set(table["rest"]) == {"labels", "ledger"}


def test_values_carry_their_units():
    assert wording.fact("seconds", 312.4) == "5 min 12 s"
    assert wording.fact("peak_memory", 2**31) == "2.00 GiB"
    assert wording.fact("parameters", 117653760) == "117,653,760"
    assert wording.fact("truncated", 0.25) == "25.0%"
    assert wording.duration(4210) == "1 h 10 min"
    assert (wording.number(0.91949), wording.number(12.3456), wording.number(None)) == ("0.919", "12.35", "–")
    assert wording.p_value(0.00003) == "p\xa0<\xa00.0001"


def test_every_sentence_of_the_page_is_in_the_catalogue_and_none_is_left_over():
    source = "".join(file.read_text() for file in (report.Path(report.__file__).parent).glob("*.j2"))
    source += "".join(report.Path(module.__file__).read_text() for module in (findings, figures))
    for code in (code for code in i18n.catalogue() if code.startswith("report.")):
        name = code.removeprefix("report.")
        built = name.startswith(("key-", "state-", "event-", "stands-", "caution-", "panel-", "line-", "partial-"))
        assert built or f'"{name}"' in source, f"{code} is never used"


def test_the_page_is_written_whole(tmp_path):
    path = report.write(tmp_path / "run", json.loads(json.dumps(run())))
    assert path == tmp_path / "run" / "report.html"
    assert path.read_text(encoding="utf-8") == report.html(run())
