from jishi.serving import rate
from jishi.serving.rate import RateLimit


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def test_a_burst_of_twice_the_rate_passes_then_the_rate_holds():
    clock = Clock()
    limit = RateLimit(2.0, clock)
    assert [limit.wait("a") for _ in range(5)] == [0, 0, 0, 0, 0.5]
    clock.now += 0.5
    assert [limit.wait("a"), limit.wait("a")] == [0, 0.5]


def test_one_client_does_not_use_up_the_share_of_another():
    limit = RateLimit(0.5, Clock())
    assert [limit.wait("a"), limit.wait("a"), limit.wait("b")] == [0, 2.0, 0]


def test_no_rate_is_no_limit():
    limit = RateLimit(0.0)
    assert not any(limit.wait("a") for _ in range(1000))


def test_memory_is_bounded_by_forgetting_the_client_seen_longest_ago(monkeypatch):
    monkeypatch.setattr(rate, "MAX_CLIENTS", 2)
    limit = RateLimit(0.5, Clock())
    for client in ("a", "b", "c"):
        limit.wait(client)
    assert limit.wait("c") > 0
    assert limit.wait("a") == 0
