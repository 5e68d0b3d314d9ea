"""Personal data are found by form and check digit, and nothing that only looks like them."""

import random

import pytest

from jishi.operations.mask_personal_data import MaskPersonalData

# 11010519491231002X is the example of GB 11643-1999; 4111 1111 1111 1111 the usual test card.
FOUND = {
    "email": ["a.b+c@mail.example.com", "x_1@b.cn"],
    "id-card": ["11010519491231002X", "11010519491231002x"],
    "bank-card": ["4111111111111111", "4111 1111 1111 1111", "4111-1111-1111-1111"],
    "mobile": ["13812345678", "+86 138 1234 5678", "86-13812345678"[3:]],
    "ip": ["8.8.8.8", "114.114.114.114"],
    "plate": ["京A12345", "粤B·F23456", "沪AD12345"],
    "passport": ["E12345678", "EA1234567"],
}
NOT = [
    "110105194912310021",  # a wrong check digit
    "110105194913310028",  # no such month
    "4111111111111112",  # Luhn says no
    "1111111111111111111111",
    "12812345678",
    "192.168.0.1",
    "255.255.255.0",
    "v1.2.3.4.5",
    "256.1.1.1",
    "user@localhost",
    "订单 20230101 号",
    "京津冀ABCDEF",
    "ABCDE12345678",
]


@pytest.mark.parametrize(("kind", "given"), [(kind, one) for kind, many in FOUND.items() for one in many])
def test_personal_data_are_masked_wherever_they_stand(kind, given):
    for before, after in (("", ""), ("联系：", "。"), ("see ", ", please")):
        found = MaskPersonalData().treat(f"{before}{given}{after}")
        assert list(found.texts) == [f"{before}<{kind}>{after}"] and found.reasons == {kind: 1}
    assert MaskPersonalData(kinds=tuple(other for other in FOUND if other != kind)).treat(f"is {given} ok") is None


@pytest.mark.parametrize("given", NOT)
def test_what_only_looks_like_it_stays(given):
    assert MaskPersonalData().treat(f"no {given} here") is None


def test_every_id_number_with_its_check_digit_is_found_and_no_other():
    draw = random.Random(0)
    for _ in range(200):
        body = (
            f"{draw.randint(110000, 659999)}{draw.randint(1950, 2009)}{draw.randint(1, 12):02}{draw.randint(1, 28):02}"
        )
        body += f"{draw.randint(0, 999):03}"
        rest = sum(int(digit) * pow(2, 17 - place, 11) for place, digit in enumerate(body)) % 11  # ISO 7064, MOD 11-2
        right = "0123456789X"[(1 - rest) % 11]
        kinds = MaskPersonalData(kinds=("id-card",))
        assert [last for last in "0123456789X" if kinds.treat(body + last)] == [right]
