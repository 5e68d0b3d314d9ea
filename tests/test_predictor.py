import base64
import dataclasses
import io
import json
from concurrent.futures import ThreadPoolExecutor

import numpy
import pytest
import torch
from PIL import Image

import tiny
from jishi.core import bundle, spec
from jishi.core.errors import BundleError, RowError
from jishi.predictor import PICTURE_BYTES, Predictor, choose, decision
from jishi.tasks.text_classification import TextClassification
from jishi.tasks.token_classification import TokenClassification

WORDS = "good bad fine great poor movie the a not very"
LABELS = ("negative", "positive")


def predictor(**settings) -> Predictor:
    processor = tiny.tokenizer(WORDS)
    names = {"id2label": dict(enumerate(LABELS)), "label2id": {name: index for index, name in enumerate(LABELS)}}
    model = tiny.sequence_classifier(len(processor), **names).eval()
    model.classifier.weight.data *= 30
    task = TextClassification(problem="single", labels=LABELS, prefix="", max_length=64, **settings)
    return Predictor(model, task, processor, {})


def rows(count: int) -> list[dict]:
    words = WORDS.split()
    texts = [
        " ".join(words[(index * step + step) % len(words)] for step in range(1 + index % 9)) for index in range(count)
    ]
    return [{"text": text, "text_pair": None, "label": "positive"} for text in texts]


def probed(one: Predictor, count: int = 20) -> Predictor:
    """As if read from a bundle: the probes went through JSON."""
    return dataclasses.replace(one, probes=json.loads(json.dumps(one.probe(rows(count)))))


def test_a_bare_value_fills_the_first_column():
    one = predictor()
    assert one.predict(["good movie"]) == one.predict([{"text": "good movie"}])


def test_an_answer_to_a_text_that_was_cut_off_says_so():
    whole, cut = predictor().predict(["good movie", "good " * 100])
    assert "truncated" not in whole
    assert cut["truncated"] is True


def test_a_probe_that_was_cut_off_records_the_answer_that_is_given():
    one = predictor()
    given = [{"text": "good " * count, "text_pair": None, "label": "positive"} for count in (1, 100)]
    probes = one.probe(given)
    assert [probe["prediction"] for probe in probes] == one.predict([probe["row"] for probe in probes])
    assert any("truncated" in probe["prediction"] for probe in probes)


def test_answers_are_the_softmax_of_the_models_own_logits():
    one = predictor(temperature=2.0)
    with torch.no_grad():
        logits = one.model(**one.processor("bad movie", return_tensors="pt")).logits[0]
    expected = torch.softmax(logits / 2.0, -1)
    answer = one.predict(["bad movie"])[0]
    assert [answer["scores"][label] for label in LABELS] == pytest.approx(expected.tolist(), abs=1e-6)
    assert answer["label"] == LABELS[int(expected.argmax())]
    assert torch.allclose(one.outputs(["bad movie"])[0], logits, atol=1e-6)


def test_no_rows_give_no_answers():
    assert predictor().predict([]) == []


def test_a_row_not_fit_for_the_task_is_refused():
    with pytest.raises(RowError):
        predictor().predict(["good", ""])


def test_a_bundle_read_back_answers_its_probes(tmp_path):
    one = predictor()
    record = {"task": spec.dump(one.task)}
    bundle.write(
        tmp_path / "b", model=one.model, processor=one.processor, record=record, probes=one.probe(rows(30)), card="#"
    )
    again = Predictor.load(tmp_path / "b")
    found = again.replay()
    assert (found.rows, found.flips) == (len(again.probes), 0)
    assert found.rows > 10 and found.max_difference < 1e-5
    assert again.path == tmp_path / "b"


def test_one_moved_weight_is_noticed():
    one = probed(predictor())
    with torch.no_grad():
        one.model.classifier.bias[0] += 0.01
    with pytest.raises(BundleError) as caught:
        one.replay()
    assert caught.value.code == "core.probe-mismatch"
    assert one.replay(tolerance=0.1).max_difference == pytest.approx(0.01, abs=1e-4)


def test_swapped_labels_are_noticed_whatever_the_tolerance():
    one = probed(predictor())
    other = dataclasses.replace(one, task=dataclasses.replace(one.task, labels=LABELS[::-1]))
    with pytest.raises(BundleError) as caught:
        other.replay(tolerance=100.0)
    assert caught.value.values["flips"] == len(one.probes)


def test_another_temperature_is_noticed_though_the_logits_are_the_same():
    one = probed(predictor())
    with pytest.raises(BundleError):
        dataclasses.replace(one, task=dataclasses.replace(one.task, temperature=1.2)).replay()


def test_a_model_of_nan_is_noticed():
    one = probed(predictor())
    with torch.no_grad():
        one.model.classifier.bias.fill_(float("nan"))
    with pytest.raises(BundleError):
        one.replay(tolerance=100.0)


def test_a_row_that_hangs_on_rounding_is_no_probe():
    one = predictor()
    with torch.no_grad():
        one.model.classifier.weight.zero_()
        one.model.classifier.bias.copy_(torch.tensor([0.0, 1e-6]))
    assert one.probe(rows(5)) == []


def test_probes_hold_inputs_and_no_targets():
    probe = predictor().probe(rows(12))[0]
    assert set(probe) == {"row", "prediction", "outputs"}
    assert set(probe["row"]) == {"text"} and len(probe["outputs"]) == 2


def test_a_tokens_answer_does_not_depend_on_its_neighbours():
    processor = tiny.tokenizer(WORDS)
    task = TokenClassification(labels=("X",), max_length=64)
    model = tiny.token_classifier(
        len(processor),
        num_labels=task.head().config["num_labels"]
        if "num_labels" in task.head().config
        else len(task.head().config["id2label"]),
    )
    one = Predictor(model.eval(), task, processor, {})
    together = one.outputs(["good", "good bad fine great movie"])
    assert [len(output) for output in together] == [3, 7]  # two special tokens each
    assert torch.allclose(together[0], one.outputs(["good"])[0], atol=1e-5)


def test_threads_share_a_predictor():
    one, texts = predictor(), [row["text"] for row in rows(40)]
    alone = [decision(answer) for answer in one.predict(texts)]
    with ThreadPoolExecutor(8) as threads:
        together = [decision(answer) for answer in threads.map(lambda text: one.predict([text])[0], texts)]
    assert together == alone


# --- choosing ---------------------------------------------------------------------------------------------------------


def answer(label, lead):
    return {"label": label, "score": 0.5 + lead / 2, "scores": {label: 0.5 + lead / 2, "other": 0.5 - lead / 2}}


def test_every_label_is_probed_however_rare():
    given = [{"text": f"row {index}"} for index in range(1000)]
    answers = [answer("rare" if index == 700 else "common", 0.5) for index in range(1000)]
    chosen = choose(given, answers, count=10)
    assert len(chosen) == 10 and given[700] in chosen


def test_every_script_is_probed_of_every_label_however_rare():
    given = [{"text": f"row {index:03}"} for index in range(1000)]
    given[600]["text"], given[601]["text"] = "第六百行很", "一行 of two"  # neither the shortest nor the longest
    answers = [answer("a" if index % 2 else "b", 0.3 + abs(index - 600) / 2000) for index in range(1000)]
    answers[0], answers[1] = answer("b", 0.1), answer("a", 0.1)  # closer than they are
    chosen = choose(given, answers, count=4)
    assert len(chosen) == 4 and given[600] in chosen and given[601] not in chosen


def test_the_closest_clearest_shortest_and_longest_are_probed():
    rng = numpy.random.default_rng(0)
    given = [{"text": "x" * int(length)} for length in rng.permutation(numpy.arange(10, 510))]
    leads = rng.permutation(500) / 500
    chosen = choose(given, [answer("a", float(lead)) for lead in leads], count=8)
    for wanted in (int(leads.argmin()), int(leads.argmax())):
        assert given[wanted] in chosen
    lengths = [len(row["text"]) for row in chosen]
    assert min(lengths) == 10 and max(lengths) == 509


def test_equal_rows_are_probed_once():
    assert choose([{"text": "same"}] * 9, [answer("a", 0.5)] * 9) == [{"text": "same"}]


def test_the_choice_depends_on_the_seed_only():
    given, answers = rows(80), [answer("a", index / 80) for index in range(80)]
    assert choose(given, answers, 20, seed=1) == choose(given, answers, 20, seed=1)


# --- JSON -------------------------------------------------------------------------------------------------------------


class Pictures(TextClassification):
    columns = {"image": "image"}


def picture(side: int) -> bytes:
    stream = io.BytesIO()
    noise = numpy.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=numpy.uint8)
    Image.fromarray(noise).save(stream, "PNG")
    return stream.getvalue()


def of_pictures() -> Predictor:
    return dataclasses.replace(predictor(), task=Pictures())


def test_a_string_from_json_is_never_the_path_of_a_file(tmp_path):
    (tmp_path / "secret").write_text("secret")
    with pytest.raises(RowError) as caught:
        of_pictures().from_json({"image": str(tmp_path / "secret")})
    assert caught.value.code == "predictor.not-base64"
    assert of_pictures().from_json("c2VjcmV0") == {"image": b"secret"}
    assert of_pictures().from_json("data:image/png;base64,c2VjcmV0") == {"image": b"secret"}


def test_a_small_picture_is_recorded_as_it_is(tmp_path):
    (tmp_path / "a.png").write_bytes(data := picture(20))
    row = of_pictures().to_json({"image": str(tmp_path / "a.png"), "label": "x"})
    assert base64.b64decode(row["image"]) == data and set(row) == {"image"}


def test_a_large_picture_is_recorded_small():
    data = picture(400)
    assert len(data) > PICTURE_BYTES
    small = base64.b64decode(of_pictures().to_json({"image": data})["image"])
    assert Image.open(io.BytesIO(small)).size == (160, 160)


def test_an_unknown_column_is_named_with_the_nearest_one():
    with pytest.raises(RowError) as caught:
        predictor().from_json({"txt": "a"})
    assert "“" not in str(caught.value) and '"text"' in str(caught.value)
