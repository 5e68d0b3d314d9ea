"""What a user asks for when naming a model."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Le, MultipleOf

from jishi.core.contracts import option


@dataclass(frozen=True)
class ModelSpec:
    """The model to start from: a bare name reads as `name`."""

    name: str = option(
        "e5-small",
        "An embedded model, a folder, a hub id (owner/name), or a design to train from scratch.",
        "内置模型、文件夹、Hub 编号（owner/name），或从零训练的结构。",
        aliases=("model_name_or_path",),
    )
    size: Literal["nano", "tiny", "mini", "small", "base"] = option(
        "tiny", "Size of a design trained from scratch.", "从零训练时的模型规模。"
    )
    side: Annotated[int, Ge(32), Le(512), MultipleOf(8)] | None = option(
        None,
        "Pixels a side that pictures are resized to, of a design trained from scratch; empty: 64. Twice as many cost four times "
        "as much, and show what is half as large.",
        "从零训练的结构将图片缩放到的边长（像素）；留空为 64。边长加倍，计算量为四倍，可看清小一半的细节。",
        aliases=("image_size",),
    )
    dropout: float | None = option(
        None,
        "Replaces every dropout rate of the base; empty keeps its own.",
        "替换基座的全部 dropout 概率；留空则沿用。",
    )
    vocabulary: Literal["full", "scripts", "corpus"] = option(
        "full",
        "Word pieces kept of the base: all of them; scripts: those of the scripts the training rows are written in; corpus: "
        "those the rows use, and single letters: the smallest model, which reads new words letter by letter.",
        "保留基座的哪些词片：full 全部；scripts 训练数据所用文字的全部词片；"
        "corpus 仅训练数据用到的词片与单字，模型最小，但新词只能逐字读取。",
    )
    seen: Annotated[int, Ge(1)] = option(
        1,
        "How often the training rows must use a word piece for vocabulary=corpus to keep it.",
        "vocabulary=corpus 保留一个词片所要求的训练数据使用次数。",
    )
    layers: Annotated[int, Ge(1)] | tuple[Annotated[int, Ge(0)], ...] | None = option(
        None,
        "Blocks kept of the base: so many, evenly spaced from the first to the last, or those of these numbers ([0, 5, 11]); "
        "empty keeps all.",
        "保留基座的哪些层：给出层数则从首层到末层均匀选取，或给出层号列表（[0, 5, 11]）；留空则全部保留。",
    )
    tokens: str | None = option(
        None,
        "Regular expression of one token, for a design trained from scratch on texts that have no words (molecules, DNA); case "
        "counts, and what lies between two tokens is one too.",
        "一个词元的正则表达式，供从零训练的结构用于没有词的文本（分子式、DNA）；区分大小写，两个词元之间的内容也算一个词元。",
    )
    tokenizer: str | None = option(
        None,
        "The folder of a tokenizer that `jishi tokenizer` made: for a design trained from scratch (empty: learnt from the "
        "rows), or, made with `from`, for the base it goes on from, whose embeddings grow.",
        "`jishi tokenizer` 生成的分词器目录：供从零训练的结构使用（留空则从数据中学习）；"
        "或以 `from` 扩充而成，供原基座使用，其词嵌入随之扩大。",
    )
    text: str | None = option(
        None,
        "Of a dual-encoder: the base or design that reads texts (empty: text-cnn).",
        "双编码器（dual-encoder）中读取文本的基座或结构（留空为 text-cnn）。",
    )
    image: str | None = option(
        None,
        "Of a dual-encoder: the base or design that reads pictures (empty: resnet).",
        "双编码器（dual-encoder）中读取图片的基座或结构（留空为 resnet）。",
    )
    pooling: Literal["cls", "mean", "max"] | None = option(
        None, "How a sentence vector is made; empty takes what the base says.", "句向量的汇聚方式；留空则按基座的说明。"
    )
    prefix: str | None = option(
        None,
        "Text put before every sentence; empty takes what the base says.",
        "加在每句前的提示；留空则按基座的说明。",
    )
    passage_prefix: str | None = option(
        None,
        "Text put before a passage that is searched; empty takes what the base says.",
        "加在被检索段落前的提示；留空则按基座的说明。",
    )
    revision: str | None = option(None, "Commit or tag of a hub model.", "Hub 模型的提交号或标签。")
