"""From a spec to what training and serving need: what the base is, its processor, and the model with the head asked for."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import transformers
from transformers import AutoModel, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from jishi.core.bundle import Bundle
from jishi.core.contracts import Base, Head, Row
from jishi.core.errors import ModelError
from jishi.models import (
    adapters,
    beside,
    checkpoint,
    depth,
    dual,
    folder,
    grow,
    heads,
    learnt,
    processors,
    prune,
    special,
    tokenizer,
)
from jishi.models.heads import HEADS, PooledConfig
from jishi.models.origin import locate
from jishi.models.scratch import _design as scratch
from jishi.models.shared import Shared
from jishi.models.spec import ModelSpec

NOT_OF_BACKBONE = {
    "_name_or_path",
    "architectures",
    "transformers_version",
    "id2label",
    "label2id",
    "problem_type",
    "jishi",
}

transformers.utils.logging.disable_progress_bar()  # progress is told by events, not by libraries
for _name in scratch.names():  # their configurations must be known before a folder that holds one is read
    scratch.get(_name)


def base(spec: ModelSpec) -> Base:
    """What an objective may know of the model, read before any weight is. Raises UnknownName, ModelError, MissingExtra."""
    if spec.name == dual.NAME:
        text, image = map(base, dual.towers(spec))
        dual.check(spec, (text.modality, image.modality))
        return replace(text, name=spec.name, modality=dual.READS, fresh=text.fresh and image.fresh)
    if spec.text or spec.image:
        raise ModelError("models.no-towers", name=spec.name, allowed=dual.NAME)
    origin = locate(spec)
    if isinstance(origin, scratch.Design):
        found = Base(spec.name, origin.modality, origin.pooling, max_length=origin.max_length, fresh=True)
    else:
        found = folder.base(spec.name, origin)
    return replace(
        found,
        pooling=found.pooling if spec.pooling is None else spec.pooling,
        prefix=found.prefix if spec.prefix is None else spec.prefix,
        passage_prefix=found.passage_prefix if spec.passage_prefix is None else spec.passage_prefix,
    )


def learns_processor(spec: ModelSpec) -> bool:
    """Whether the processor is made from the training rows: a vocabulary learnt, or cut down to theirs."""
    if spec.name == dual.NAME:
        return learns_processor(dual.towers(spec)[0])
    origin = locate(spec)
    if isinstance(origin, scratch.Design):
        return origin.learns and not spec.tokenizer
    return not spec.tokenizer and spec.vocabulary in ("scripts", "corpus") and folder.has_tokenizer(origin)


def processor(spec: ModelSpec, rows: Iterable[Row] | None = None, extra: Sequence[str] = ()) -> Any:
    """The tokenizer or image processor, or both.

    `rows` are the training rows (canonical): a text design trained from scratch learns its vocabulary from them, and
    `vocabulary` cuts one down to them. `extra` are an objective's special tokens, which a design has room for and a base
    brings or lacks. Raises ModelError.
    """
    if spec.name == dual.NAME:
        text, image = dual.towers(spec)
        return processors.Processor(processor(text, rows, extra), processor(image))
    origin = locate(spec)
    if spec.tokens and not (isinstance(origin, scratch.Design) and origin.learns):
        raise ModelError("models.no-pattern", name=spec.name)
    if spec.tokenizer:
        return special.give(_sized(_given(spec, origin), spec), extra)
    if isinstance(origin, scratch.Design):
        return special.give(_sized(origin.processor(spec.name, rows, spec.tokens), spec), extra)
    if spec.side:
        raise ModelError("models.no-side", name=spec.name)
    found = processors.read(origin)
    if rows is not None and learns_processor(spec):
        whole = spec.vocabulary == "scripts"
        said = base(spec)
        prefixes = {said.prefix: None, said.passage_prefix: None}
        texts = tokenizer.texts(rows)
        return prune.tokenizer(found, texts, prefix="".join(prefixes), scripts=whole, seen=1 if whole else spec.seen)
    return found


def model(spec: ModelSpec, head: Head, base: Base, processor: Any = None) -> PreTrainedModel:
    """The model in fp32 with a fresh head; a head stays where the folder's has the very labels asked for.

    `processor` is the one made for this spec: it sizes a vocabulary learnt or cut down. Raises ModelError where a weight
    outside the head is missing, has another shape, or has no place, and for a head that can't stand beside another.
    """
    if spec.name == dual.NAME:
        return _dual(spec, head, base, processor)
    origin = locate(spec)
    if isinstance(origin, scratch.Design):
        if spec.layers is not None:
            raise ModelError("models.layers-of-design", name=spec.name)
        built = _from_scratch(spec, origin, head, base, processor)
    else:
        built = _from_folder(spec, origin, head, base)
        if spec.layers is not None:
            depth.cut(built, spec.layers, spec.name)
        if processor is not None and learns_processor(spec):
            prune.embeddings(built, processors.read(origin), processor)
        if processor is not None and spec.tokenizer:
            grow.embeddings(built, processors.read(origin), processor)
        if isinstance(processor, PreTrainedTokenizerBase):
            built.config.pad_token_id = processor.pad_token_id
    for further in head.beside:
        config = _wrapped(built.base_model.config, spec, base)
        _set_head(config, further)
        beside.add(built, further.architecture, config)
    return built


def _dual(spec: ModelSpec, head: Head, found: Base, processor: Any) -> PreTrainedModel:
    if head.architecture:
        raise ModelError("models.two-towers", name=spec.name)
    text, image = dual.towers(spec)
    return dual.join(
        model(text, head, found, processor.tokenizer),
        model(image, head, base(image), processor.image_processor),
        found.pooling,
    )


def trained(read: Bundle, shared: Shared | None = None) -> tuple[PreTrainedModel, Any]:
    """A bundle's model with its adapters, ready to answer, and its processor. Raises ModelError as `reload` does.

    Where the bundle is an adapter, weights of its base that are `shared` are not held a second time.
    """
    objective, adaptation = read.objective, read.adaptation
    if "base" in read.record:
        wanted = learnt.find(read)
        reads = processor(wanted)
        return learnt.adapted(read, model(wanted, objective.head(), base(wanted), reads), shared).eval(), reads
    read_back, processes = reload(read.path, objective.head().architecture)
    if adaptation and adaptation.beside:
        read_back = adapters.fill(adaptation.apply(read_back, objective), read.path)
    return read_back.eval(), processes


def merged(read: Bundle) -> tuple[Any, Any]:
    """The whole model of a bundle that holds an adapter, what was learnt folded in as far as that can be, and its processor."""
    wanted, adaptation = learnt.find(read), read.adaptation
    reads = processor(wanted)
    built = learnt.put_on(read, model(wanted, read.objective.head(), base(wanted), reads))
    return adaptation.merge(built).eval() if adaptation else built, reads


def described(path: Path) -> PreTrainedConfig:
    """The configuration of a bundle whose weights are in a graph. Raises ModelError."""
    return checkpoint.config(path, weights=False)


def reload(path: Path, architecture: str) -> tuple[PreTrainedModel, Any]:
    """A saved bundle's model and processor, exactly: ModelError where any weight is missing, left over or misshapen."""
    config = checkpoint.config(path)
    mapping = _auto(architecture, path.name)._model_mapping
    if type(config) not in mapping:
        raise ModelError("models.no-head", name=path.name, given=architecture)
    kind = mapping[type(config)]
    options = {} if architecture else heads.bare(kind)
    return checkpoint.weights(kind, path, config, exact=True, **options).eval(), processors.read(path)


def _given(spec: ModelSpec, origin: Any) -> Any:
    """The tokenizer a spec names, for a design that reads text, or a base whose own it continues. Raises ModelError otherwise."""
    path, based = Path(str(spec.tokenizer)), isinstance(origin, Path)
    if not (folder.has_tokenizer(origin) if based else origin.learns):
        raise ModelError("models.own-tokenizer", name=spec.name)
    if not folder.has_tokenizer(path):
        raise ModelError("models.no-tokenizer", path=path)
    found = processors.read(path)
    if based and (spec.vocabulary != ModelSpec.vocabulary or not grow.continues(processors.read(origin), found)):
        raise ModelError("models.other-tokenizer", path=path, name=spec.name)
    if not based and not hasattr(
        origin.config(spec.size, found), "type_vocab_size"
    ):  # it reads one text, or tells two apart by marks
        found.model_input_names = [name for name in found.model_input_names if name != "token_type_ids"]
    return found


def _sized(processor: Any, spec: ModelSpec) -> Any:
    """What reads pictures, in the size asked for. Raises ModelError where it reads something else."""
    if spec.side:
        if not hasattr(processor, "size"):
            raise ModelError("models.no-side", name=spec.name)
        processor.size = {"height": spec.side, "width": spec.side}
    return processor


def _from_scratch(spec: ModelSpec, design: scratch.Design, head: Head, base: Base, processor: Any) -> PreTrainedModel:
    config = design.config(spec.size, processor)
    _configure(config, spec, base)
    kind, native = _class(config, head, base)
    if not native:
        config = _wrapped(config, spec, base)
    _set_head(config, head)
    built = kind(config, **({} if head.architecture else heads.bare(kind))).float()
    design.begin(built)
    return built


def _from_folder(spec: ModelSpec, path: Path, head: Head, base: Base) -> PreTrainedModel:
    config = checkpoint.config(path)
    before = dict(config.id2label or {})
    _configure(config, spec, base)
    kind, native = _class(config, head, base)
    if native:
        _set_head(config, head)
        built = checkpoint.weights(kind, path, config, **({} if head.architecture else heads.bare(kind)))
        trained_for_these = "id2label" in head.config and config.id2label == before
        if "num_labels" in head.config and not trained_for_these:
            checkpoint.refresh(built)
        return built
    wrapped = _wrapped(config, spec, base)
    _set_head(wrapped, head)
    plain = AutoModel._model_mapping[type(config)]
    return kind(wrapped, checkpoint.weights(plain, path, config, **heads.bare(plain))).float()


def _auto(architecture: str, name: str) -> Any:
    kind = getattr(transformers, f"AutoModel{architecture}", None)
    if kind is None:
        raise ModelError("models.no-head", name=name, given=architecture)
    return kind


def _class(config: PreTrainedConfig, head: Head, base: Base) -> tuple[type[PreTrainedModel], bool]:
    """The class to build and whether it is the configuration's own: transformers' where it has one that pools as the base."""
    mapping = _auto(head.architecture, base.name)._model_mapping
    own = HEADS.get(head.architecture)
    differs = own is not None and (own.alone or (own.pools and base.pooling != "cls"))
    lacks = differs or head.config.get("transitions")
    bare_pair = config.is_encoder_decoder and not head.architecture  # it would want to be told what to write
    if type(config) in mapping and (isinstance(config, PooledConfig) or not lacks) and not bare_pair:
        return mapping[type(config)], True
    if isinstance(config, dual.DualConfig):
        raise ModelError("models.two-towers", name=base.name)
    if own is None or isinstance(config, PooledConfig) or config.is_encoder_decoder:
        raise ModelError("models.no-head", name=base.name, given=head.architecture)
    return own, False


def _configure(config: PreTrainedConfig, spec: ModelSpec, base: Base) -> None:
    """What the spec changes of the base, and what a later reader must know of it."""
    config.jishi = _said(base)
    if isinstance(config, PooledConfig):
        config.pooling = base.pooling
    if spec.dropout is not None:
        config.update(_rates(config.to_dict(), spec.dropout))
        if isinstance(config, PooledConfig):
            config.backbone = {**config.backbone, **_rates(config.backbone, spec.dropout)}


def _said(base: Base) -> dict[str, str]:
    """What a later reader of the folder must know of the base."""
    return {"pooling": base.pooling, "prefix": base.prefix, "passage_prefix": base.passage_prefix}


def _rates(values: Mapping[str, Any], rate: float) -> dict[str, float]:
    """Every dropout rate among the values, set to one."""
    kinds = (int, float, type(None))
    return {key: rate for key, value in values.items() if "dropout" in key and type(value) in kinds}


def _wrapped(config: PreTrainedConfig, spec: ModelSpec, base: Base) -> PooledConfig:
    rates = (
        spec.dropout,
        getattr(config, "classifier_dropout", None),
        getattr(config, "hidden_dropout_prob", None),
        0.1,
    )
    wrapped = PooledConfig(
        backbone={key: value for key, value in config.to_dict().items() if key not in NOT_OF_BACKBONE},
        pooling=base.pooling,
        dropout=next(rate for rate in rates if rate is not None),
    )
    wrapped.jishi = _said(base)
    return wrapped


def _set_head(config: PreTrainedConfig, head: Head) -> None:
    values = dict(head.config)
    if "num_labels" in values:  # first: it resets the names
        config.num_labels = values.pop("num_labels")
    if isinstance(values.get("id2label"), Mapping):
        values["id2label"] = {int(key): value for key, value in values["id2label"].items()}
    if isinstance(config, PooledConfig):
        config.transitions = bool(values.pop("transitions", False))
    config.update(values)
