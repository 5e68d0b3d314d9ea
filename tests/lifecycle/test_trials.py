"""The page of a search: what it draws is where it should be, and it says it in both languages."""

import pytest

from jishi.lifecycle import trials


def trial(number, score, **settings):
    return {"number": number, "state": "complete", "score": score, "settings": settings, "seconds": 1.0}


TOLD = {
    "metric": "accuracy", "plain": 0.5,
    "trials": [trial(2, 0.9, a=1e-2, b="full"), trial(0, 0.7, a=1e-4, b="lora"), trial(1, 0.5, a=1e-3, b="full")],
    "given_up": [{"number": 3, "state": "pruned", "score": 0.1, "settings": {"a": 1e-4, "b": "lora"}}],
    "failed": [{"number": 4, "state": "fail", "settings": {"a": 1.0, "b": "full"}, "reason": "<script>nan</script>"}],
    "importance": {"a": 0.8, "b": 0.2},
}  # fmt: skip


def test_each_trial_is_a_line_through_its_settings_to_its_score():
    """Three axes at 60, 380 and 700; 1e-2, 1e-4 and 1e-3 stand at the top, the foot and, by logarithm, half-way."""
    axes, lines = trials.parallel(TOLD["trials"], ["a", "b"])
    assert [(axis.name, axis.x) for axis in axes] == [("a", 60), ("b", 380), ("score", 700)]
    assert [rank for _, rank in lines] == [0.0, 0.5, 1.0]
    assert lines[-1][0] == "60.0,30.0 380.0,250.0 700.0,30.0"  # the best; "full" came first and stands at the foot
    assert lines[1][0] == "60.0,250.0 380.0,30.0 700.0,140.0"
    assert lines[0][0] == "60.0,140.0 380.0,250.0 700.0,250.0"
    assert axes[0].marks == [(250.0, "0.0001"), (30.0, "0.01")]
    assert {text: y for y, text in axes[1].marks} == {"full": 250.0, "lora": 30.0}


def test_near_values_stand_on_a_plain_scale_and_equal_ones_at_the_foot():
    _, lines = trials.parallel([trial(0, 0.5, a=1, b=3), trial(1, 0.6, a=2, b=3), trial(2, 0.7, a=5, b=3)], ["a", "b"])
    assert [path.split()[0] for path, _ in lines] == ["60.0,250.0", "60.0,195.0", "60.0,30.0"]
    assert {path.split()[1] for path, _ in lines} == {"380.0,250.0"}


def test_the_best_so_far_never_falls():
    panel = trials.growth(TOLD)
    best, single = panel.lines
    heights = [y for _, y in best.points]
    assert heights == sorted(heights, reverse=True) and len(single.points) == 3 and single.dots
    assert trials.growth({**TOLD, "trials": TOLD["trials"][:1]}) is None


@pytest.mark.parametrize(("language", "said"), [("en", "given up early"), ("zh", "提前放弃")])
def test_the_page_says_what_became_of_every_trial(tmp_path, language, said):
    page = trials.write(tmp_path, TOLD, language).read_text(encoding="utf-8")
    assert said in page and f'id="language-{language}" checked' in page
    assert "&lt;script&gt;nan" in page and "<script" not in page
    assert "80%" in page and "0.900" in page and "http" not in page.replace("http-equiv", "")


def test_one_trial_is_a_page_without_figures(tmp_path):
    page = trials.html({**TOLD, "trials": TOLD["trials"][:1], "importance": {}}, "x", "en")
    assert "<polyline" not in page and "0.900" in page
