"""Answers that are written at the same time share their steps, and each is what it would be alone."""

import gc
import threading
import weakref
from dataclasses import replace

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig

from eight import ROWS, WRITES
from jishi.core import registry
from jishi.core.contracts import Task
from jishi.models import inference, load, together, tokens
from jishi.models.decoding import Decoding
from jishi.models.ends import Ends
from jishi.models.generate import begin
from jishi.models.spec import ModelSpec

TOKENS = 12
SMALL = {"vocab_size": 8, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
WAYS = [
    Decoding(max_new_tokens=TOKENS),
    Decoding("sampling", max_new_tokens=TOKENS, seed=3),
    Decoding(max_new_tokens=5, repetition_penalty=1.3),
    Decoding("sampling", max_new_tokens=TOKENS, top_p=0.8, seed=4),
]


def made(name, spec):
    task = registry.get(Task, name)()
    rows = [task.parse(row) for row in ROWS[name]]
    processor = load.processor(spec, rows)
    task = task.initialize(rows, load.base(spec))
    torch.manual_seed(0)
    model = load.model(spec, task.head(), load.base(spec), processor).eval()
    return task, [task.encode(row, processor) for row in rows], model, processor


@pytest.fixture(scope="module", params=["transformer-decoder", "gpt2"])
def decoder(request):
    return made("text-generation", ModelSpec(request.param, size="nano"))


def asked(found, way, place=0):
    """A prompt, how it is gone on with, and where that ends."""
    _, features, _, processor = found
    row = features[place % len(features)]
    prompt = tokens.pad([tokens.describe(processor, row.get("prompt_ids", row["input_ids"]))], processor)
    return prompt, way, Ends.of(processor)


def streams(found, ways=WAYS):
    """The tokens of each row, as they are written."""
    for place, way in enumerate(ways):
        yield (int(token[0]) for token in together.write(found[2], *asked(found, way, place)))


def alone(found, ways=WAYS):
    """What is written for each row by itself, by the code that answers whole batches."""
    task, features, model, processor = found
    rows = [features[place % len(features)] for place in range(len(ways))]
    some = zip(ways, rows, strict=True)
    told = [inference.outputs(replace(task, decoding=way), model, [row], processor)[0] for way, row in some]
    return [[int(token) for token in output[:, 0]] for output in told]


def in_turn(open_, late=()):
    """What streams say that have a piece in their turn; those of `late` come in one after the other."""
    said, running, waiting = {}, dict(enumerate(open_)), dict(enumerate(late, len(open_)))
    while running or waiting:
        for place, stream in list(running.items()):
            piece = next(stream, None)
            if piece is None:
                del running[place]
            else:
                said.setdefault(place, []).append(piece)
        if waiting:
            place, stream = waiting.popitem()
            running[place] = stream
    return [said[place] for place in sorted(said)]


def calls(model):
    counted = []
    model.register_forward_hook(lambda *_: counted.append(1))
    return counted


def test_what_is_written_in_company_is_what_is_written_alone(decoder):
    assert in_turn(list(streams(decoder))) == alone(decoder)


def test_those_that_come_later_join_and_change_nothing(decoder):
    ways = [*WAYS, *WAYS]
    every = list(streams(decoder, ways))
    assert in_turn(every[:2], every[2:]) == alone(decoder, ways)


def test_a_step_serves_all_that_are_open(decoder):
    """Four prompts are read and their first tokens written, which is a call each; eleven steps write the rest of all."""
    counted = calls(decoder[2])
    written = in_turn(list(streams(decoder, [WAYS[0]] * 4)))
    assert len(counted) == 4 + (TOKENS - 1) and [len(one) for one in written] == [TOKENS] * 4


def test_what_a_long_prompt_took_is_given_back_when_it_is_complete(decoder):
    task, features, model, processor = decoder
    order = sorted(features, key=lambda row: len(row["prompt_ids"]))
    short, long = order[0], order[-1]
    lengths = [len(row["prompt_ids"]) for row in (short, long)]
    assert lengths[0] < lengths[1]
    found = (task, [short, long], model, processor)
    ways = [WAYS[0], Decoding(max_new_tokens=2)]
    first, second = streams(found, ways)
    said = [next(first)]
    assert len([*second]) == 2
    said.append(next(first))
    (group,) = together._of[model].groups
    assert len(group.rows) == 1 and group.steps.mask.shape[1] == lengths[0] + 2  # the prompt, and what is written
    assert [*said, *first] == alone(found, ways[:1])[0]


def test_a_stream_that_is_left_is_not_gone_on_with(decoder):
    model = decoder[2]
    first, second = streams(decoder, [WAYS[0], WAYS[1]])
    whole = alone(decoder, [WAYS[0]])[0]
    begun = [next(first), next(second)]
    second.close()
    assert [begun[0], *first] == whole
    assert not together._of[model].groups


def test_what_nobody_asks_for_is_not_held(decoder):
    model = decoder[2]
    (stream,) = streams(decoder, WAYS[:1])
    next(stream)
    (group,) = together._of[model].groups
    held = weakref.ref(group)
    del group, stream
    gc.collect()
    assert held() is None


def test_a_stream_that_is_collected_by_the_thread_that_goes_on_with_others_does_not_hold_it_up(decoder):
    held = together.Together()
    (row,) = held.join(decoder[2], *asked(decoder, WAYS[0]))
    done = threading.Thread(target=lambda: held._changing.__enter__() and held.leave(row), daemon=True)
    done.start()
    done.join(20)
    assert not done.is_alive() and not held.groups


def test_a_step_that_fails_ends_all_that_shared_it_and_none_that_come_after(decoder):
    model = decoder[2]
    first, second = streams(decoder, [WAYS[0], WAYS[0]])
    next(first), next(second)

    def fails(*_, **__):
        raise MemoryError

    hook = model.register_forward_pre_hook(fails)
    with pytest.raises(MemoryError):
        list(first)
    hook.remove()
    with pytest.raises(RuntimeError):
        list(second)
    assert in_turn(list(streams(decoder, WAYS[:1]))) == alone(decoder, WAYS[:1])


def whole(found, way=WAYS[0], places=range(4)):
    """Answers that are begun together."""
    _, features, model, processor = found
    rows = [features[place % len(features)] for place in places]
    prompts = tokens.pad([tokens.describe(processor, row["prompt_ids"]) for row in rows], processor)
    return begin(model, prompts, way, Ends.of(processor))


def ends(open_):
    """What answers say at their ends, each a step in its turn."""
    said, running = {}, dict(enumerate(open_))
    while running:
        for place, steps in list(running.items()):
            try:
                next(steps)
            except StopIteration as end:
                said[place] = [int(token) for token in end.value[:, 0]]
                del running[place]
    return [said[place] for place in sorted(said)]


@pytest.mark.parametrize("way", WAYS)
def test_whole_answers_are_what_a_batch_gives(decoder, way):
    assert ends(whole(decoder, way)) == alone(decoder, [way] * 4)


def test_whole_answers_and_streams_share_every_step(decoder):
    """One call reads four prompts, one that of the stream; eleven steps write the rest of all five."""
    counted = calls(decoder[2])
    begun, (stream,) = whole(decoder), streams(decoder, WAYS[:1])
    said = [next(stream) for _ in range(3)]  # the others are three tokens behind
    written = ends(begun)
    assert len(counted) == 2 + (TOKENS - 1)
    assert written == alone(decoder, WAYS[:1] * 4) and [*said, *stream] == written[0]


def test_an_answer_that_is_let_go_before_its_first_step_is_not_gone_on_with(decoder):
    first, *rest = whole(decoder)
    for one in rest:
        one.close()
    next(first), next(first)
    (group,) = together._of[decoder[2]].groups
    assert len(group.rows) == 1
    assert ends([first]) == alone(decoder, WAYS[:1])


@pytest.mark.parametrize("name", ["translation", "text-generation"])
def test_what_can_not_share_steps_is_written_in_turn(name):
    found = made(name, WRITES if name == "translation" else ModelSpec("lstm", size="nano"))
    ways = [WAYS[0], WAYS[2]]
    assert not together.shares(found[2])
    assert in_turn(list(streams(found, ways))) == alone(found, ways)


def test_a_beam_is_searched_as_a_batch(decoder):
    assert whole(decoder, Decoding("beam", beams=2, max_new_tokens=4)) == ()


@pytest.mark.parametrize(
    ("config", "holds"), [(LlamaConfig(**SMALL), True), (MistralConfig(**SMALL, sliding_window=8), False)]
)
def test_a_window_of_keys_is_not_shared(config, holds):
    """Nothing of the model is asked but what it takes and keeps, so one without weights will do."""
    with torch.device("meta"):
        assert together.shares(AutoModelForCausalLM.from_config(config)) is holds
