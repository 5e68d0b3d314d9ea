import pytest

from jishi.command import several
from jishi.serving.spec import ServeSpec


@pytest.mark.parametrize(
    ("words", "mains", "overrides"),
    [
        (["a/bundle"], 1, 0),
        (["a/bundle", "b/bundle", "port=1"], 2, 1),
        (["x=a/bundle", "y=b/bundle", "limits.max_items=3", "port=1"], 2, 2),
        (["bundle=a/bundle"], 0, 1),
        (["a/bundle", "prt=80"], 1, 1),  # a setting misspelt is told as one
        ([], 0, 0),
    ],
)
def test_bundles_stand_before_the_first_setting(words, mains, overrides):
    assert several(words, ServeSpec) == (words[:mains], words[len(words) - overrides :])
