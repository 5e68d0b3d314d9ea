import pytest

from jishi.core.errors import ServingError
from jishi.serving import access
from jishi.serving.access import Access

KEY = "0123456789abcdef"


def code(call, *arguments):
    with pytest.raises(ServingError) as caught:
        call(*arguments)
    return caught.value.code


def test_off_loopback_a_key_is_required_and_must_be_long():
    assert code(access.plan, "0.0.0.0", None) == "serving.key-required"
    assert code(access.plan, "0.0.0.0", "short") == "serving.key-too-short"
    assert access.plan("0.0.0.0", KEY) == Access(KEY, None)


def test_on_loopback_no_key_is_needed():
    for host in ("127.0.0.1", "localhost", "::1", "127.8.0.1"):
        assert access.plan(host, None).key is None


def test_a_host_without_an_address_is_named():
    assert code(access.plan, "no-such-host.invalid", None) == "serving.unknown-host"


@pytest.mark.parametrize("header", ["127.0.0.1:8000", "localhost", "LOCALHOST:1", "[::1]:8000", "[::1]"])
def test_loopback_answers_to_its_own_names(header):
    access.plan("127.0.0.1", None).check_host(header)


@pytest.mark.parametrize(
    "header", ["", "evil.example", "evil.example:8000", "127.0.0.1.evil.example", "[::2]:80", "x:1:2"]
)
def test_loopback_refuses_the_names_of_others(header):
    assert code(access.plan("127.0.0.1", None).check_host, header) == "serving.bad-host"


def test_named_hosts_are_the_only_ones_off_loopback():
    allowed = access.plan("0.0.0.0", KEY, ["api.example"])
    allowed.check_host("api.example:443")
    assert code(allowed.check_host, "other.example") == "serving.bad-host"


def test_the_key_is_taken_from_either_header_and_nothing_else():
    guarded = Access(KEY)
    guarded.check_key({"authorization": f"Bearer {KEY}"})
    guarded.check_key({"authorization": f"bearer  {KEY} "})
    guarded.check_key({"x-api-key": KEY})
    for headers in (
        {},
        {"x-api-key": ""},
        {"x-api-key": KEY + "0"},
        {"authorization": f"Basic {KEY}"},
        {"x-api-key": "\xe9"},
    ):
        assert code(guarded.check_key, headers) == "serving.unauthorized"
