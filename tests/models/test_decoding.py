from dataclasses import replace

import pytest

from jishi.core import i18n, spec
from jishi.core.document import Document
from jishi.core.errors import UsageError
from jishi.models.decoding import Decoding


@pytest.mark.parametrize(
    "change",
    [
        {"max_new_tokens": 0}, {"method": "sampling", "temperature": 0.0}, {"method": "sampling", "top_k": -1},
        {"method": "sampling", "top_p": 0.0}, {"method": "sampling", "top_p": 1.1}, {"repetition_penalty": 0.0},
        {"no_repeat_ngram": -1}, {"method": "beam", "beams": 1}, {"method": "beam", "length_penalty": -1.0},
        {"stop": ("ok", "")},
    ],
)  # fmt: skip
def test_a_value_out_of_range_is_refused_by_name_in_both_languages(change) -> None:
    key = list(change)[-1]
    with pytest.raises(UsageError) as caught:
        replace(Decoding(), **change).check()
    assert caught.value.code == "models.decoding-range" and f"decoding.{key}" in str(caught.value)
    assert "超出范围" in i18n.text(caught.value.code, "zh", **caught.value.values)


@pytest.mark.parametrize("change", [{"temperature": 0.7}, {"top_p": 0.9, "method": "beam"}, {"beams": 8}])
def test_a_value_that_the_method_would_not_read_is_refused(change) -> None:
    with pytest.raises(UsageError, match="would change nothing"):
        replace(Decoding(), **change).check()


def test_other_tools_names_are_read() -> None:
    given = {"method": "beam", "num_beams": 3, "max_tokens": 9, "no_repeat_ngram_size": 2, "stop_strings": ["\n"]}
    built = spec.build(Decoding, Document(given, "test"))
    assert built == Decoding("beam", beams=3, max_new_tokens=9, no_repeat_ngram=2, stop=("\n",))
    built.check()
