from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from jishi.core.contracts import Head
from jishi.core.errors import ModelError
from jishi.models import load
from jishi.models.scratch import _design
from jishi.models.spec import ModelSpec

LEARNT = [name for name in _design.names() if _design.get(name).learns]
PAIRS = ("bart", "pointer-generator", "t5", "transformer-encoder-decoder")  # read only to write
TEXT = [name for name in LEARNT if name not in PAIRS]
DECODERS = ("gpt2", "gru", "lstm", "transformer-decoder")
PICTURES = [name for name in _design.names() if not _design.get(name).learns]
ROWS = [{"text": "今天的天气真好 the weather is lovely", "text_pair": "质量很差 bad quality"}] * 2
SENTENCES = ["今天的天气真好，the weather", "bad"]
CLASSES = Head("ForSequenceClassification", {"num_labels": 3})


def build(spec: ModelSpec, head: Head):
    processor = load.processor(spec, ROWS)
    torch.manual_seed(0)
    return load.model(spec, head, load.base(spec), processor).eval(), processor


def test_both_kinds_are_found() -> None:
    assert {"text-cnn", "bilstm", "transformer-encoder", "transformer-decoder", "gpt2", "modernbert"} <= set(TEXT)
    assert set(PAIRS) <= set(LEARNT)
    assert {"resnet", "vit"} <= set(PICTURES)


@pytest.mark.parametrize("name", TEXT)
def test_padding_and_neighbours_do_not_change_answers(name: str) -> None:
    """Whatever the weights are, the padding token's among them (a fresh one is zero, and biases are)."""
    model, processor = build(ModelSpec(name, size="nano"), CLASSES)
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(std=0.3)
    together = model(**processor(SENTENCES, return_tensors="pt", padding=True)).logits
    for row, sentence in enumerate(SENTENCES):
        alone = model(**processor([sentence], return_tensors="pt")).logits
        torch.testing.assert_close(together[row], alone[0], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", TEXT)
@pytest.mark.parametrize("architecture", ["ForSequenceClassification", "ForTokenClassification"])
def test_text_designs_save_and_load(name: str, architecture: str, tmp_path: Path) -> None:
    model, processor = build(ModelSpec(name, size="nano"), Head(architecture, {"num_labels": 3}))
    expected = model(**processor(SENTENCES, return_tensors="pt", padding=True)).logits
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    again, words = load.reload(tmp_path, architecture)
    before, after = model.state_dict(), again.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(after[key], value) for key, value in before.items())
    # With one thread torch takes another kernel for an LSTM whose weights lie together in memory: the last bit may differ.
    found = again(**words(SENTENCES, return_tensors="pt", padding=True)).logits
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", TEXT)
def test_every_token_sees_its_neighbours_and_in_a_decoder_those_before_it(name: str) -> None:
    model, processor = build(ModelSpec(name, size="nano"), Head("ForTokenClassification", {"num_labels": 3}))
    found = [model(**processor([text], return_tensors="pt")).logits[0] for text in ("天气", "天好", "好气")]
    assert torch.allclose(found[0][1], found[1][1]) == (name in DECODERS)  # 天 before 气, before 好
    assert not torch.allclose(found[0][2], found[2][2])  # 气 behind 天, behind 好


@pytest.mark.parametrize("name", TEXT)
def test_every_weight_gets_a_gradient(name: str) -> None:
    model, processor = build(ModelSpec(name, size="mini"), CLASSES)
    model.train()
    model(**processor(SENTENCES, return_tensors="pt", padding=True)).logits.square().sum().backward()
    assert [key for key, weight in model.named_parameters() if weight.grad is None] == []


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("architecture", ["ForSequenceClassification", ""])
def test_a_design_that_writes_is_given_no_other_head(name: str, architecture: str) -> None:
    with pytest.raises(ModelError, match="e5-small"):
        build(ModelSpec(name, size="nano"), Head(architecture))


def test_the_convolution_is_the_one_written_down() -> None:
    """Window 3 over the embeddings of three tokens with zeros beyond both ends, by hand."""
    model, _ = build(ModelSpec("text-cnn", size="nano"), CLASSES)
    ids = torch.tensor([[5, 6, 7]])
    first = model.backbone.convolutions["3"]
    words = model.backbone.embeddings(ids)[0]
    edges = torch.cat([torch.zeros(1, words.shape[1]), words, torch.zeros(1, words.shape[1])])
    by_hand = torch.stack([(first.weight * edges[place : place + 3].T).sum((1, 2)) + first.bias for place in range(3)])
    states = model.backbone(ids).last_hidden_state[0, :, : first.out_channels]
    torch.testing.assert_close(states, by_hand.relu())


def test_chinese_characters_and_english_words_are_learnt() -> None:
    processor = load.processor(ModelSpec("text-cnn"), ROWS)
    assert processor.tokenize("天气 Weather") == ["天", "气", "weather"]
    assert processor.tokenize("龘") == ["[UNK]"]
    pair = processor("天", "气")
    assert processor.decode(pair.input_ids) == "[CLS] 天 [SEP] 气 [SEP]"
    assert pair.token_type_ids == [0, 0, 0, 1, 1]


def test_a_vocabulary_needs_rows() -> None:
    with pytest.raises(ModelError, match="training rows"):
        load.processor(ModelSpec("bilstm"), [])


def test_the_encoder_can_be_pretrained() -> None:
    model, processor = build(ModelSpec("transformer-encoder", size="nano"), Head("ForMaskedLM"))
    assert model(**processor(SENTENCES, return_tensors="pt", padding=True)).logits.shape[-1] == len(processor)


@pytest.mark.parametrize("name", DECODERS)
def test_the_decoder_can_be_pretrained_and_its_folder_is_a_base(name: str, tmp_path: Path) -> None:
    """Its tokenizer says where a text begins and ends; a language model's head comes with the folder, bit for bit."""
    head = Head("ForCausalLM", {"is_decoder": True})
    model, processor = build(ModelSpec(name, size="nano"), head)
    ids = processor(SENTENCES[1])
    assert (ids["input_ids"][0], ids["input_ids"][-1]) == (processor.bos_token_id, processor.eos_token_id)
    assert set(ids) == {"input_ids", "attention_mask"}
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    spec = ModelSpec(str(tmp_path))
    words = load.processor(spec)
    assert dict(words(SENTENCES[1])) == dict(ids) and words.eos_token_id == processor.eos_token_id
    inputs = words(SENTENCES, return_tensors="pt", padding=True)
    for again in (load.model(spec, head, load.base(spec), words).eval(), load.reload(tmp_path, head.architecture)[0]):
        assert torch.equal(again(**inputs).logits, model(**inputs).logits)


@pytest.mark.parametrize("name", PAIRS)
def test_the_encoder_decoder_s_folder_is_one_that_transformers_reads_by_itself(name: str, tmp_path: Path) -> None:
    """It writes from the first token on: the start token is said, and a later target changes no earlier logit."""
    head = Head("ForSeq2SeqLM")
    model, processor = build(ModelSpec(name, size="nano"), head)
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    plain = AutoModelForSeq2SeqLM.from_pretrained(tmp_path, local_files_only=True).eval()
    words = AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)
    start = words.eos_token_id if name == "bart" else words.pad_token_id  # as each of the papers' models does
    assert plain.config.decoder_start_token_id == start and plain.config.eos_token_id == words.eos_token_id
    inputs = words(SENTENCES, return_tensors="pt", padding=True)
    before = torch.tensor([[start, 9, 8], [start, 9, 8]])
    found = plain(**inputs, decoder_input_ids=before).logits
    assert torch.equal(found, model(**inputs, decoder_input_ids=before).logits)
    before[:, 2] = 5
    assert torch.equal(found[0, :2], plain(**inputs, decoder_input_ids=before).logits[0, :2])
    assert load.base(ModelSpec(str(tmp_path))).max_length == 512
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert found.std() < 2


def test_the_embeddings_of_the_post_norm_design_are_of_length_one() -> None:
    model, _ = build(ModelSpec("transformer-encoder-decoder", size="nano"), Head("ForSeq2SeqLM"))
    assert 0.1 < model.get_input_embeddings().weight.std() < 0.15  # 1/√64: no logit is large, unscaled


@pytest.mark.parametrize("name", PICTURES)
def test_image_designs_save_and_load(name: str, tmp_path: Path) -> None:
    head = Head("ForImageClassification", {"num_labels": 3})
    model, processor = build(ModelSpec(name, size="nano"), head)
    picture = Image.linear_gradient("L").resize((50, 30))
    inputs = processor(picture, return_tensors="pt")
    assert inputs["pixel_values"].shape == (1, 3, 64, 64)
    expected = model(**inputs).logits
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    again, reread = load.reload(tmp_path, head.architecture)
    assert torch.equal(again(**reread(picture, return_tensors="pt")).logits, expected)
    assert load.base(ModelSpec(str(tmp_path))).modality == "image"


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_are_read_as_large_as_asked_for(name: str, tmp_path: Path) -> None:
    """A dot of two pixels in 64 is one of four in 128, and the folder remembers."""
    head = Head("ForImageClassification", {"num_labels": 3})
    model, processor = build(ModelSpec(name, size="nano", side=128), head)
    picture = Image.linear_gradient("L").resize((50, 30))
    inputs = processor(picture, return_tensors="pt")
    assert inputs["pixel_values"].shape == (1, 3, 128, 128)
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    again, reread = load.reload(tmp_path, head.architecture)
    assert torch.equal(again(**reread(picture, return_tensors="pt")).logits, model(**inputs).logits)


@pytest.mark.parametrize("name", ["text-cnn", "e5-small", "efficientnet-lite0"])
def test_what_brings_its_own_size_or_reads_texts_is_given_none(name: str) -> None:
    with pytest.raises(ModelError) as refused:
        load.processor(ModelSpec(name, side=128), ROWS)
    assert refused.value.code == "models.no-side"


def test_the_side_is_that_of_a_dual_encoder_s_pictures() -> None:
    processor = load.processor(ModelSpec("dual-encoder", size="nano", side=96), ROWS)
    assert processor.image_processor(Image.new("RGB", (9, 9)), return_tensors="pt")["pixel_values"].shape[-2:] == (
        96,
        96,
    )
