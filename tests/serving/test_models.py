"""Several models in one server: each answers for itself, is read when asked, let go for others, and refused alone."""

import asyncio
import json
import shutil

import pytest

from asking import Held, ask, asking, refused, run
from jishi.core import manifest
from jishi.core.errors import BundleError, ServingError
from jishi.predictor import Predictor
from jishi.serving.entries import Entry, held
from jishi.serving.limits import Limits
from jishi.serving.models import Models

TEXTS = ["good movie", "bad", "not very good", "the movie broke after one day", "slow 好 坏", "fine great poor"]


def models(paths, memory=None, **limits):
    return Models.of([str(path) for path in paths], Limits(**limits), memory)


def equal(answer, own):
    assert {key: value for key, value in answer.items() if key != "scores"} == pytest.approx(
        {key: value for key, value in own.items() if key != "scores"}, abs=1e-6
    )
    assert answer["scores"] == pytest.approx(own["scores"], abs=1e-6)


def test_requests_for_different_models_at_once_are_answered_as_each_alone(adapter_paths, bundle_path):
    paths = [*adapter_paths, bundle_path]
    names = [path.parent.name for path in paths]
    alone = {name: Predictor.load(path).predict(TEXTS) for name, path in zip(names, paths, strict=True)}
    asked = [(names[place % 4], place * 7 % len(TEXTS)) for place in range(96)]

    async def scene():
        async with asking(models(paths)) as client:
            return await asyncio.gather(*(ask(client, TEXTS[text], name) for name, text in asked))

    for (name, text), response in zip(asked, run(scene()), strict=True):
        assert response.json()["model"].startswith(f"{name}@")
        equal(response.json()["predictions"][0], alone[name][text])


def test_the_first_answers_where_none_is_named_and_others_are_read_when_asked(adapter_paths):
    async def scene():
        async with asking(models([adapter_paths[0], f"other={adapter_paths[1]}"])) as client:
            before = (await client.get("/api/v1/models")).json()
            first, other = await ask(client, "good"), await ask(client, "good", "other")
            about = (await client.get("/api/v1/models/other")).json(), (await client.get("/api/v1/model")).json()
            return before, first, other, about, (await client.get("/api/v1/models")).json()

    before, first, other, (told, told_first), after = run(scene())
    assert [(entry["name"], entry["state"]) for entry in before["models"]] == [
        ("colours", "ready"),
        ("other", "waiting"),
    ]
    assert [entry["state"] for entry in after["models"]] == ["ready", "ready"]
    assert first.json()["predictions"][0]["label"].startswith("colours")
    assert other.json()["predictions"][0]["label"].startswith("sizes")
    assert told["labels"][0] == "sizes-0" and told_first["labels"][0] == "colours-0"
    assert len({entry["base"] for entry in after["models"]}) == 1
    assert after["bytes"] - before["bytes"] == after["models"][1]["bytes"]  # the base was there


def test_adapters_of_one_base_hold_its_weights_once(adapter_paths):
    async def scene():
        served = models(adapter_paths)
        async with asking(served) as client:
            for path in adapter_paths:
                await ask(client, "good", path.parent.name)
            inner = [entry.service.model.predictor.model for entry in served.open]
            weights = [dict(model.named_parameters()) for model in inner]
            return (
                [named["bert.embeddings.word_embeddings.weight"].data_ptr() for named in weights],
                served.bytes,
                inner,
            )

    places, counted, inner = run(scene())
    assert len(places) == 3 and len(set(places)) == 1
    stored = {one.data_ptr(): one.nbytes for model in inner for one in model.state_dict().values()}
    # What is counted may be more: of the base its own head, of adapters heads that peft keeps as they came.
    assert 0.8 * counted < sum(stored.values()) < 1.1 * counted


def test_what_was_asked_longest_ago_is_let_go_and_answers_again_later(adapter_paths):
    colours, sizes, tones = (path.parent.name for path in adapter_paths)
    bound = held(models(adapter_paths[:2]).entries)

    async def scene():
        served = models(adapter_paths, memory=max(bound, held(models(adapter_paths[1:]).entries)))
        async with asking(served) as client:
            seen = []
            for name in (colours, sizes, colours, tones, sizes):
                answer = await ask(client, "good movie", name)
                assert served.bytes <= served.memory
                seen.append((answer.json()["predictions"][0], [entry.name for entry in served.open]))
            return seen

    seen = run(scene())
    assert [names for _, names in seen] == [
        [colours],
        [colours, sizes],
        [colours, sizes],
        [colours, tones],
        [sizes, tones],
    ]
    equal(seen[4][0], seen[1][0])


def test_models_that_do_not_fit_together_answer_in_turn_and_none_loses_a_request(adapter_paths, bundle_path):
    paths = [adapter_paths[0], bundle_path]
    alone = {path.parent.name: Predictor.load(path).predict(["good movie"])[0] for path in paths}
    names = [*alone] * 6

    async def scene():
        most = max(held([entry]) for entry in models(paths).entries)
        served = models(paths, memory=most)
        async with asking(served) as client:
            answers = await asyncio.gather(*(ask(client, "good movie", name) for name in names))
            return answers, len(served.open)

    answers, count = run(scene())
    assert count == 1
    for name, response in zip(names, answers, strict=True):
        equal(response.json()["predictions"][0], alone[name])


def test_what_is_let_go_takes_its_base_with_it(adapter_paths, bundle_path):
    async def scene():
        paths = [adapter_paths[0], adapter_paths[2], bundle_path]
        served = models(paths, memory=max(held(models(paths[:2]).entries), held(models(paths[2:]).entries)))
        known = served.entries[0].read.__closure__
        shared = next(cell.cell_contents for cell in known if hasattr(cell.cell_contents, "_known"))
        async with asking(served) as client:
            await ask(client, "good", "tones")
            before = len(shared._known)
            await ask(client, "good", bundle_path.parent.name)
            return before, len(shared._known)

    before, after = run(scene())
    assert before > 0 and after == 0


def damaged(path, folder, *, seal=False, **changes):
    """A copy whose probes, or bytes, are not those recorded."""
    shutil.copytree(path, folder)
    lines = [json.loads(line) for line in (folder / "probes.jsonl").read_text(encoding="utf-8").splitlines()]
    lines[0]["outputs"][0] += 0.01
    (folder / "probes.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    if seal:
        (folder / manifest.MANIFEST).unlink()
        manifest.seal(folder)
    return folder


@pytest.mark.parametrize("seal", [False, True], ids=["a changed file", "another answer"])
@pytest.mark.parametrize("first", [False, True])
def test_one_that_fails_refuses_alone_and_the_others_go_on(adapter_paths, bundle_path, tmp_path, caplog, seal, first):
    bad = damaged(bundle_path, tmp_path / "bad", seal=seal)
    paths = [bad, adapter_paths[0]] if first else [adapter_paths[0], bad]

    async def scene():
        async with asking(models(paths)) as client:
            answers = [await ask(client, "good", name) for name in ("bad", "colours", "bad")]
            return answers, await client.get("/ready"), (await client.get("/api/v1/models")).json()

    (one, other, again), ready, listing = run(scene())
    for response in (one, again):
        error = refused(response, 503, "serving.model-refused")
        assert str(tmp_path) not in error["message"]
    assert other.status_code == ready.status_code == 200
    assert {entry["name"]: entry["state"] for entry in listing["models"]} == {"bad": "refused", "colours": "ready"}
    assert str(bad) in caplog.text


def test_an_adapter_whose_base_changed_refuses_alone(adapter_paths, bundle_path, tmp_path, caplog):
    shutil.copytree(adapter_paths[0].parent, tmp_path / "colours")
    shutil.copytree(adapter_paths[0].parent.parent / "base", tmp_path / "base")
    (tmp_path / "base" / "vocab.txt").write_text("other words")

    async def scene():
        async with asking(models([bundle_path, tmp_path / "colours" / "bundle"])) as client:
            return await ask(client, "good", "colours"), await ask(client, "good")

    refusal, answer = run(scene())
    refused(refusal, 503, "serving.model-refused")
    assert answer.status_code == 200 and "was not trained on what now lies at" in caplog.text


def test_the_name_that_an_answer_tells_asks_the_same_model_and_that_of_another_bundle_none(adapter_paths):
    async def scene():
        async with asking(models(adapter_paths)) as client:
            named = (await ask(client, "good", "sizes")).json()["model"]
            return named, (await ask(client, "good", named)).json(), await ask(client, "good", "sizes@000000000000")

    named, again, other = run(scene())
    assert named.startswith("sizes@") and again["model"] == named
    refused(other, 404, "serving.unknown-model")


def test_an_unknown_name_is_told_the_nearest(adapter_paths):
    async def scene():
        async with asking(models(adapter_paths)) as client:
            return (
                await ask(client, "good", "colour"),
                await client.get("/api/v1/models/size"),
                await ask(client, "good", 3),
            )

    asked, told, number = run(scene())
    assert 'Did you mean "colours"?' in refused(asked, 404, "serving.unknown-model")["message"]
    assert 'Did you mean "sizes"?' in refused(told, 404, "serving.unknown-model")["message"]
    refused(number, 422, "serving.bad-model")


def test_what_can_not_be_served_is_refused_before_anything_is_read(adapter_paths, tmp_path):
    one, other = adapter_paths[:2]
    for given, memory, code in (
        ([one, one], None, "same-name"), ([f"sizes={one}", other], None, "same-name"), ([], None, "no-bundle"),
        ([one], 1000, "memory-too-small"),
    ):  # fmt: skip
        with pytest.raises(ServingError) as caught:
            models(given, memory)
        assert caught.value.code == f"serving.{code}"
    with pytest.raises(BundleError) as caught:
        models([one, tmp_path / "nothing"])
    assert caught.value.code == "core.bundle-not-found"


def test_a_model_that_takes_too_long_to_read_is_waited_for_no_longer_than_an_answer(adapter_paths):
    served = models(adapter_paths[:2], timeout_s=0.2)
    gate, read = asyncio.Event(), served.entries[1].read

    async def scene():
        loop = asyncio.get_running_loop()

        def slow():
            asyncio.run_coroutine_threadsafe(gate.wait(), loop).result(10)
            return read()

        served.entries[1].read = slow
        async with asking(served) as client:
            late = await ask(client, "good", "sizes")
            gate.set()
            while served.entries[1].state != "ready":
                await asyncio.sleep(0.01)
            return late, await ask(client, "good", "sizes")

    late, answer = run(scene())
    refused(late, 504, "serving.timeout")
    assert answer.status_code == 200


def test_metrics_tell_the_weights_in_memory(adapter_paths):
    async def scene():
        async with asking(models(adapter_paths)) as client:
            return (await client.get("/metrics")).text, client.models.bytes

    text, counted = run(scene())
    assert f"jishi_weights_bytes {float(counted)}" in text.splitlines() or f"{counted:.6g}" in text


def test_a_model_in_use_is_not_let_go(predictor):
    """Another that needs its room waits until the answer is out."""
    slow = Held(predictor)
    entries = [Entry("slow", lambda: slow, bytes=10), Entry("other", lambda: predictor, bytes=10)]

    async def scene():
        async with asking(Models(entries, memory=10)) as client:
            slow.gate.clear()
            first = asyncio.create_task(ask(client, "good", "slow"))
            await asyncio.to_thread(slow.entered.wait, 5)
            second = asyncio.create_task(ask(client, "good", "other"))
            await asyncio.sleep(0.3)
            states = [entry.state for entry in entries]
            slow.gate.set()
            return states, await first, await second, [entry.state for entry in entries]

    before, first, second, after = run(scene())
    assert (before, after) == (["ready", "waiting"], ["waiting", "ready"])
    assert (first.status_code, second.status_code) == (200, 200)
