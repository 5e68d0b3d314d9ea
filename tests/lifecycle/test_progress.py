"""The page of a run while it goes on: sound, inert, in two languages, and never older than it says."""

import re

import pytest

from jishi.core import i18n
from jishi.lifecycle import figures, progress
from jishi.training.loop import Event
from jishi.training.run import Run
from markup import ATTACK, Page

START = {
    "steps": 200, "rows": 1000, "validation_rows": 100, "tokens": 12_000, "parameters": 3_440_000, "inner_parameters": 3_000_000,
    "trainable_parameters": 3_440_000, "flops_per_token": 20_000_000, "device": "cpu", "damaged": [], "resumed_from": None,
}  # fmt: skip


def step(number: int, **changed) -> Event:
    told = {
        "loss": 4.0,
        "learning_rate": 1e-3,
        "tokens_per_second": 5000.0,
        "remaining": 90.0,
        "mfu": 0.5,
        "memory": 2**30,
    }
    return Event("step", number, {**told, **changed})


@pytest.fixture
def run(tmp_path) -> Run:
    return Run(tmp_path)


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def tell(page: progress.Page, run: Run, *events: Event) -> None:
    for event in events:
        run.log(event.kind, event.step, event.values)
        page.hear(event)


def words(run: Run, name: str = progress.NAME) -> str:
    """What is seen of the page: the text of its own language."""
    text = (run.folder / name).read_text(encoding="utf-8")
    (hidden,) = set(re.findall(r'}\s*\[lang="(\w\w)"\] { display: none; }', text))
    shown = re.sub(rf'<span lang="{hidden}">.*?</span>', "", text[text.index("<body>") :])
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", shown))


def test_the_page_tells_where_the_run_stands(run, clock):
    page = progress.Page(run, "accuracy")
    tell(page, run, Event("start", 0, START), step(1, loss=6.0), Event("validation", 1, {"loss": 3.5, "accuracy": 0.5}))
    clock[0] += 3
    tell(page, run, step(2, loss=4.0))
    said = words(run)
    for expected in (
        "step 2 of 200", "loss, last 20 steps 5.000", "validation loss 3.500", "learning rate 1.00e-03", "tokens a second 5,000",
        "time left 1 min 30 s", "memory 1.00 GiB", "parameters 3.44 M", "FLOPs a token 20 M",
    ):  # fmt: skip
        assert expected in said, expected
    assert "验证" in words(run, "progress.zh.html") and "validation loss" not in words(run, "progress.zh.html")


def test_the_page_is_written_at_most_every_three_seconds_and_at_the_end(run, clock, monkeypatch):
    written = []
    monkeypatch.setattr(progress.publish, "write_text", lambda path, text: written.append(path.name))
    page = progress.Page(run)
    monkeypatch.setattr(run, "log", lambda *_: None)
    tell(page, run, Event("start", 0, START), step(1), step(2))
    assert written == ["progress.html", "progress.zh.html"]
    clock[0] += 2.9
    tell(page, run, step(3))
    assert len(written) == 2
    clock[0] += 0.2
    tell(page, run, step(4), step(5))
    assert len(written) == 4
    tell(page, run, Event("end", 5, {"best": None, "best_step": 5, "seconds": 1.0}))
    assert len(written) == 6


def test_writing_takes_a_hundredth_of_the_time_at_most(run, clock, monkeypatch):
    """Half a second a file, and there are two: 100 seconds until the next."""
    written = []

    def slowly(path, _):
        written.append(path.name)
        clock[0] += 0.5

    page = progress.Page(run)
    monkeypatch.setattr(run, "log", lambda *_: None)
    monkeypatch.setattr(progress.publish, "write_text", slowly)
    tell(page, run, Event("start", 0, START))
    clock[0] += 99
    tell(page, run, step(1))
    assert len(written) == 2
    clock[0] += 1
    tell(page, run, step(2))
    assert len(written) == 4


def test_it_loads_itself_again_while_the_run_goes_on_and_nothing_else_ever(run):
    page = progress.Page(run)
    tell(page, run, Event("start", 0, START), step(1))
    text = (run.folder / progress.NAME).read_text(encoding="utf-8")
    assert '<meta http-equiv="refresh" content="5">' in text
    parsed = Page(text)
    assert parsed.open == [] and "script" not in {tag for tag, _ in parsed.tags}
    assert not [attrs for _, attrs in parsed.tags if {"src", "srcset", "data", "action"} & attrs.keys()]
    links = {attrs["href"] for tag, attrs in parsed.tags if "href" in attrs}
    assert links == {"#main", "progress.html", "progress.zh.html"}
    assert "default-src 'none'; style-src 'unsafe-inline'" in text and "url(" not in text
    tell(page, run, Event("end", 1, {"best": None, "best_step": 1, "seconds": 1.0}))
    assert 'content="5"' not in (run.folder / progress.NAME).read_text(encoding="utf-8")
    assert "Training has ended" in words(run)


def test_an_error_and_an_interruption_are_told(run):
    with pytest.raises(ValueError, match="broken"), progress.Page(run) as page:
        tell(page, run, Event("start", 0, START), step(1))
        raise ValueError(f"broken {ATTACK}")
    text = (run.folder / progress.NAME).read_text(encoding="utf-8")
    assert "&lt;script&gt;" in text and "<script" not in text and "refresh" not in text
    assert "Stopped by an error: broken" in words(run)
    page = progress.Page(run)
    tell(page, run, Event("start", 0, START), step(1), Event("interrupted", 1, {"checkpoint": "a/b/step-00000001"}))
    assert "Interrupted" in words(run) and "step-00000001" in words(run) and "a/b" not in words(run)


def test_what_went_before_is_drawn_where_a_run_goes_on(run):
    tell(progress.Page(run), run, Event("start", 0, START), *(step(number) for number in range(1, 9)))
    page = progress.Page(run)
    tell(page, run, Event("start", 6, START), step(7, loss=2.0))
    assert [told["step"] for told in page._steps] == [1, 2, 3, 4, 5, 6, 7]


def test_a_long_run_takes_no_more_memory_and_keeps_its_curve(run, monkeypatch):
    """Loss falls from 10 by a thousandth a step, one above that and one below in turn: what was joined lies on the line."""
    page = progress.Page(run)
    monkeypatch.setattr(progress.Page, "_write", lambda _: None)
    for number in range(1, 5001):
        page.hear(step(number, loss=10 - number / 1000 + (-1) ** number))
    assert len(page._steps) <= progress.STEPS
    joined = page._steps[:240]
    assert all(told["loss"] == pytest.approx(10 - told["step"] / 1000) for told in joined)


def test_a_probe_is_drawn_beside_the_plain_rival_of_its_task():
    told = [{"kind": "probe", "step": at, "probe": name, "metric": "macro_f1", "score": at / 100, "baseline": 0.5}
            for at in (0, 50, 100) for name in ("reviews", "意图")]  # fmt: skip
    first, second = figures.progress(told, "")
    assert (first.title, second.title) == ("reviews · macro f1", "意图 · macro f1")
    probe, baseline = first.lines
    assert [x for x, _ in probe.points] == [46, 198, 350] and [y for _, y in probe.points] == [190, 102, 14]
    assert {y for _, y in baseline.points} == {102}
    assert figures.progress(told[:1], "") == []


def test_the_language_in_force_has_the_plain_name(run):
    i18n.set_language("zh")
    try:
        tell(progress.Page(run), run, Event("start", 0, START))
    finally:
        i18n.set_language(None)
    assert "训练中" in words(run) and "Training" in words(run, "progress.en.html")
