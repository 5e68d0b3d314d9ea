import pickle
import re
import string
from pathlib import Path

import pytest

from jishi.core import errors, i18n
from jishi.core.errors import DataError, JishiError, MissingExtra, RowError, UnknownName, UsageError


def test_an_error_is_one_sentence_in_the_chosen_language(monkeypatch):
    error = UsageError("core.document-missing", path="a.yaml")
    assert str(error) == "a.yaml does not exist; check the path."
    monkeypatch.setenv("JISHI_LANG", "zh")
    assert str(error) == "a.yaml 不存在，请检查路径。"


def test_as_json_an_error_has_its_code_kind_sentence_and_plain_values(tmp_path):
    error = UsageError("core.document-missing", path=tmp_path)
    assert error.to_dict() == {
        "code": "core.document-missing",
        "kind": "UsageError",
        "message": f"{tmp_path} does not exist; check the path.",
        "values": {"path": str(tmp_path)},
    }


def test_a_misspelt_name_is_answered_with_the_nearest_and_all_allowed():
    sentence = str(UnknownName("task", "text-clasification", ["token-classification", "text-classification"]))
    assert 'Did you mean "text-classification"?' in sentence
    assert sentence.endswith("Available: text-classification, token-classification.")


def test_a_name_like_no_other_gets_no_suggestion():
    assert errors.did_you_mean("zebra", ["lora", "full"]) == ""


def test_a_missing_extra_names_the_command_that_cures_it():
    assert 'pip install "jishi[serve]"' in str(MissingExtra("fastapi", "serve"))


def test_usage_exits_with_2_and_failures_with_1():
    kinds = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, JishiError)]
    assert {kind.__name__ for kind in kinds if kind.exit_code == 2} == {"UsageError", "UnknownName", "MissingExtra"}
    assert all(kind.exit_code in (1, 2) for kind in kinds)


def test_a_refused_row_is_a_data_error():
    assert issubclass(RowError, DataError)


def test_the_tree_in_the_docstring_is_the_tree_of_the_classes():
    drawn = re.findall(r"^[ ├└│─]*(\w+) +(?:exit)? *(\d)?  ", errors.__doc__ or "", re.MULTILINE)
    kinds = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, JishiError)]
    assert {name: int(code or 1) for name, code in drawn} == {kind.__name__: kind.exit_code for kind in kinds}


def test_every_sentence_can_be_filled_in_both_languages():
    formatter = string.Formatter()
    for code, entry in i18n.catalogue().items():
        for sentence in entry.values():
            fields = [(name, style) for _, name, style, _ in formatter.parse(sentence) if name is not None]
            values = {name: 1.0 if style else "x" for name, style in fields}
            assert sentence.format(**values), code


def test_an_unknown_code_is_a_programming_error():
    with pytest.raises(KeyError):
        str(UsageError("core.no-such-code"))


@pytest.mark.parametrize(
    "error",
    [DataError("data.missing-path", path=Path("x")), UnknownName("task", "texd", ["text"]), MissingExtra("ray", "ray")],
)
def test_an_error_crosses_to_another_process_whole(error):
    found = pickle.loads(pickle.dumps(error))
    assert (type(found), str(found), found.to_dict()) == (type(error), str(error), error.to_dict())
