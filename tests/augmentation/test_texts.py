"""Ways to vary a text, held to what can be read off the tables, the keyboard and the text itself."""

import json
from collections import Counter
from pathlib import Path

import numpy
import pytest
import torch

from eight import ROWS, WRITES
from jishi.augmentation import _synonyms, _units, back_translation, eda, keyboard
from jishi.augmentation.back_translation import BackTranslation
from jishi.augmentation.eda import EDA
from jishi.augmentation.homophone import Homophone, _alike
from jishi.augmentation.keyboard import Keyboard
from jishi.augmentation.synonym import Synonym
from jishi.augmentation.typing_errors import TypingErrors
from jishi.augmentation.word_dropout import WordDropout
from jishi.core import bundle, spec
from jishi.core.errors import BundleError, UsageError
from jishi.modalities.text import Text
from jishi.models import load
from jishi.models.decoding import Decoding
from jishi.predictor import Predictor
from jishi.tasks.translation import Translation

SEEDS = range(200)


def rng(seed):
    return numpy.random.default_rng(seed)


def found(text):
    return {text[place.start : place.end]: tuple(place.others) for place in _synonyms.places(text)}


def test_the_tables_name_no_word_twice_and_none_for_itself():
    for language, least in (("zh", 250), ("en", 250)):
        file = Path(_synonyms.__file__).parent / f"_synonyms_{language}.txt"
        rows = [line for line in file.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
        table = _synonyms.table(language)
        assert len(rows) == len(table) > least
        assert all(word not in others and len(set(others)) == len(others) for word, others in table.items())


def test_the_longest_known_word_is_taken_and_what_is_to_be_left_is_left():
    assert found("快递员很热情") == {"快递员": ("快递小哥", "送货员"), "热情": ("热心",)}
    assert found("不错过机会") == {}  # not the word 不错
    assert found("Topping up by phone") == {"Topping up": ("Reloading",), "phone": ("mobile",)}
    assert found("I used to go") == {}
    assert found("PHONE") == {"PHONE": ("MOBILE",)}


def test_an_article_stays_right():
    assert found("an issue") == {} and found("the issue") == {"issue": ("problem",)}
    assert found("a mistake") == {} and found("my mistake") == {"mistake": ("error",)}
    assert found("an additional fee")["additional"] == ("extra",)


def test_one_known_word_at_least_and_a_share_of_them_is_replaced():
    text = "money money money money money money"  # six known words, of which 0.3 are two
    assert {Synonym(rate=0.3).vary(text, rng(seed)).split().count("cash") for seed in SEEDS} == {2}
    assert {Synonym(rate=0.01).vary(text, rng(seed)).split().count("cash") for seed in SEEDS} == {1}
    assert Synonym(rate=1.0).vary("My money.", rng(0)) == "My cash."
    assert Synonym().vary("xyzzy", rng(0)) == "xyzzy"


def test_homophones_are_of_one_line_and_as_many_as_asked_for():
    text = "东西不错物流也很快" * 4  # 36 characters, of which 0.1 are four
    for seed in SEEDS:
        varied = Homophone(rate=0.1).vary(text, rng(seed))
        pairs = [(one, other) for one, other in zip(text, varied, strict=True) if one != other]
        assert len(pairs) == 4 and all(other in _alike()[one] for one, other in pairs)
    assert "保" in _alike()["报"] and "报" not in _alike()["报"]
    assert Homophone().vary("abc", rng(0)) == "abc"


def test_letters_give_way_to_keys_that_touch_them():
    assert {key: "".join(sorted(keyboard.BESIDE[key])) for key in "qgmp"} == {
        "q": "aw",
        "g": "bfhtvy",
        "m": "jkn",
        "p": "lo",
    }
    assert all(key in keyboard.BESIDE[other] for key, others in keyboard.BESIDE.items() for other in others)
    for seed in SEEDS:
        varied = Keyboard(rate=0.5).vary("Gq 7", rng(seed))  # two letters, of which one
        assert varied[2:] == " 7" and sum(one != other for one, other in zip("Gq", varied, strict=False)) == 1
        assert varied[0] in "GBFHTVY" and varied[1] in "qaw"


def test_typing_errors_are_those_of_the_robustness_tests():
    text = "abcdefghij" * 100
    varied = TypingErrors(rate=0.1).vary(text, rng(0))
    assert varied == Text().corrupt(text, 0.2, rng(0)) != text  # a severity of twice the share
    assert all(TypingErrors(rate=0.5).vary("a", rng(seed)).strip() for seed in SEEDS)  # of one character, one stays


def test_words_are_dropped_at_the_rate_asked_for_and_negations_never():
    text = " ".join(["word"] * 1000)
    left = len(WordDropout(rate=0.3).vary(text, rng(0)).split())
    assert abs(left - 700) < 3 * (1000 * 0.3 * 0.7) ** 0.5
    assert WordDropout(rate=0.999).vary("I do not like it, isn't it?", rng(0)) == "not isn't"
    assert WordDropout(rate=0.999).vary("我不喜欢", rng(0)) == "不"
    assert WordDropout(rate=0.999).vary("all of it", rng(0)) == "all of it"


def test_units_are_words_with_their_space_or_characters():
    assert _units.units("two  words") == ["two  ", "words"] and _units.units("两个词") == list("两个词")


def test_words_change_places_and_spaces_do_not():
    text = "one  two three"
    swaps = {eda.swapped(text, 1, rng(seed)) for seed in SEEDS}
    assert swaps == {"two  one three", "three  two one", "one  three two"}
    swaps = {eda.swapped("甲乙丙", 1, rng(seed)) for seed in SEEDS}
    assert all(len(one) == 3 for one in swaps) and eda.swapped("一", 3, rng(0)) == "一"


def test_characters_change_places_with_the_next():
    assert {eda.swapped("很甲乙", 1, rng(seed)) for seed in SEEDS} == {"甲很乙", "很乙甲"}


def test_a_word_put_in_stands_for_one_that_is_there_and_parts_no_word():
    for seed in SEEDS:
        varied = eda.inserted("my money is gone", 1, rng(seed))
        assert varied.split(" ").count("cash") == 1 and varied.replace("cash ", "") == "my money is gone"
        more = eda.inserted("my money is gone", 3, rng(seed))
        assert more.split(" ").count("cash") == 3 and more.replace("cash ", "") == "my money is gone"
    assert {eda.inserted("  money", 1, rng(seed)) for seed in SEEDS} == {"  cash money"}
    put = {eda.inserted("快递到了", 1, rng(seed)) for seed in SEEDS}
    assert put == {"物流快递到了", "快递物流到了"}
    assert eda.inserted("xyzzy", 2, rng(0)) == "xyzzy"


def test_eda_does_each_of_its_four_changes_a_quarter_of_the_time():
    """Ten words of which one is known: replaced, one more, the same in another order, or fewer."""
    text = "money b c d e f g h i j"
    kinds = Counter()
    for seed in range(2000):
        words = EDA(rate=0.5).vary(text, rng(seed)).split()
        kinds[
            "more" if len(words) > 10 else "fewer" if len(words) < 10 else "other" if "cash" in words else "order"
        ] += 1
    assert all(abs(kinds[kind] - 500) < 3 * (2000 * 0.25 * 0.75) ** 0.5 for kind in ("more", "fewer", "other", "order"))


def test_texts_are_translated_there_and_back_once_and_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("JISHI_CACHE", str(tmp_path / "cache"))
    asked = []

    class Read:
        class task:
            generates = True

    def translated(path, texts):
        asked.append((path, list(texts)))
        return [{"b": " "}.get(text, f"{text}-{path[-1]}") for text in texts]

    for name in ("1", "2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "MANIFEST.json").write_text(json.dumps({"of": name}))
    monkeypatch.setattr(back_translation.bundle, "read", lambda path, verify=True: Read)
    monkeypatch.setattr(back_translation, "_translated", translated)
    way = BackTranslation(str(tmp_path / "1"), str(tmp_path / "2"))
    ready = way.initialize(["a", "c", "a"])
    assert [texts for _, texts in asked] == [["a", "c"], ["a-1", "c-1"]]
    assert ready.vary("a", rng(0)) == "a-1-2" and ready.vary("unseen", rng(0)) == "unseen" and way.texts == {}
    assert way.initialize(["c", "a"]) == ready and len(asked) == 2
    (tmp_path / "2" / "MANIFEST.json").write_text("{}")  # another bundle
    way.initialize(["a", "c"])
    assert len(asked) == 4


def test_a_bundle_that_writes_nothing_is_refused(tmp_path, monkeypatch):
    with pytest.raises(BundleError):
        BackTranslation(str(tmp_path), str(tmp_path)).initialize(["a"])

    class Read:
        class task:
            generates = False

    monkeypatch.setattr(back_translation.bundle, "read", lambda path: Read)
    (tmp_path / "MANIFEST.json").write_text("{}")
    with pytest.raises(UsageError, match="writes no text"):
        BackTranslation(str(tmp_path), str(tmp_path)).initialize(["a"])


def test_what_is_translated_back_is_what_the_bundles_say(tmp_path, monkeypatch):
    monkeypatch.setenv("JISHI_CACHE", str(tmp_path / "cache"))
    task, rows = Translation(max_length=16, decoding=Decoding("greedy", max_new_tokens=4)), ROWS["translation"]
    base, processor = load.base(WRITES), load.processor(WRITES, rows)
    task = task.initialize(rows, base)
    for name, seed in (("there", 0), ("back", 1)):
        torch.manual_seed(seed)
        model = load.model(WRITES, task.head(), base, processor)
        for weight in model.parameters():
            torch.nn.init.normal_(weight, 0, 0.5)  # what a fresh model writes ends at once
        bundle.write(
            tmp_path / name, model=model, processor=processor, record={"task": spec.dump(task)}, probes=[], card=""
        )
    texts = [row["source"] for row in rows]
    ready = BackTranslation(str(tmp_path / "there"), str(tmp_path / "back")).initialize(texts)
    there, back = (Predictor.load(tmp_path / name) for name in ("there", "back"))
    said = [answer["text"] or text for answer, text in zip(there.predict(texts), texts, strict=True)]
    again = [answer["text"] or text for answer, text in zip(back.predict(said), said, strict=True)]
    assert ready.texts == dict(zip(texts, again, strict=True)) and again != texts
