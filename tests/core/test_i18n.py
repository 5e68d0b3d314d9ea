import pytest

from jishi.core import i18n


@pytest.fixture(autouse=True)
def unset():
    yield
    i18n.set_language(None)


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "de_DE"}, "en"),
        ({"LANG": "en_US", "JISHI_LANG": "ZH"}, "zh"),
    ],
)
def test_the_environment_names_the_language(environment, language, monkeypatch):
    for name in ("JISHI_LANG", "LC_ALL", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert i18n.language() == language


def test_a_chosen_language_wins_over_the_environment(monkeypatch):
    monkeypatch.setenv("JISHI_LANG", "en")
    i18n.set_language("zh")
    assert i18n.language() == "zh"


def test_a_value_may_be_named_lang():
    with pytest.raises(KeyError):  # `path` is what the sentence needs: `lang` is only one more value
        i18n.text("core.document-missing", lang="zh")


def test_a_sentence_can_be_asked_for_in_either_language():
    assert i18n.text("core.document-missing", "zh", path="甲") == "甲 不存在，请检查路径。"
    assert i18n.text("core.document-missing", "en", path="A") == "A does not exist; check the path."
