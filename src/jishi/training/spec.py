"""How training runs: every field is a YAML key, a CLI flag and a line of the docs."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le

from jishi.core.contracts import Augmentation, Regularization, option


@dataclass(frozen=True)
class TrainSpec:
    """The settings of one training run; the names transformers' TrainingArguments gives them are accepted too."""

    epochs: Annotated[float, Ge(0)] = option(
        3.0,
        "Passes over the training rows; 0 with fit_head alone.",
        "训练数据的遍历次数；仅与 fit_head 同用时可为 0。",
        aliases=("num_train_epochs",),
    )
    max_steps: Annotated[int, Ge(1)] | None = option(
        None, "Stop after this many optimizer steps, whatever the epochs say.", "优化器步数上限，优先于 epochs。"
    )
    batch_size: Annotated[int, Ge(1)] = option(
        32, "Rows a batch.", "每批的样本数。", aliases=("per_device_train_batch_size", "train_batch_size")
    )
    batch_tokens: Annotated[int, Ge(1)] | None = option(
        None,
        "Padded tokens a batch may have at most; long rows then make smaller batches.",
        "每批（含填充）的最大词元数。",
    )
    accumulation: Annotated[int, Ge(1)] = option(
        1, "Batches an optimizer step adds up.", "每次更新累积的批数。", aliases=("gradient_accumulation_steps",)
    )
    learning_rate: Annotated[float, Gt(0)] | None = option(
        None,
        "Peak learning rate; left out, the one that suits the adaptation.",
        "最高学习率；省略时取适配方法的推荐值。",
    )
    head_learning_rate: Annotated[float, Gt(0)] | None = option(
        None,
        "Peak learning rate of the new head; left out, 1e-3 or the learning rate, whichever is higher.",
        "新任务头的最高学习率；省略时取 1e-3 与 learning_rate 中较大者。",
    )
    optimizer: Literal["adamw", "sgd"] = option("adamw", "The optimizer (AdamW: arXiv:1711.05101).", "优化器。")
    scheduler: Literal["linear", "cosine", "constant"] = option(
        "linear",
        "How the learning rate falls after the warm-up.",
        "预热后学习率的下降方式。",
        aliases=("lr_scheduler_type",),
    )
    warmup: Annotated[float, Ge(0), Le(1)] = option(
        0.1,
        "Share of the steps in which the learning rate rises.",
        "学习率上升阶段所占步数比例。",
        aliases=("warmup_ratio",),
    )
    weight_decay: Annotated[float, Ge(0)] = option(
        0.01, "Decay of weight matrices (never of biases or norms).", "权重衰减。"
    )
    regularize: tuple[Regularization, ...] = option(
        (),
        "What makes the result hold against noise (fgm, r-drop, mixup, …); the last is laid around those before it.",
        "使结果更稳健的方法（fgm、r-drop、mixup 等）；后者包在前者之外。",
    )
    augment: tuple[Augmentation, ...] = option(
        (),
        "How training rows are varied, anew in each epoch (eda, synonym, rand-augment, …), one way after the other.",
        "训练数据的增强方法，每轮重新变换（eda、synonym、rand-augment 等），依次进行。",
    )
    average: Literal["ema", "swa"] | None = option(
        None,
        "Judge and keep an average of the weights: moving (ema), or equal over the last quarter (swa: arXiv:1803.05407).",
        "验证并保留权重的平均值：滑动平均（ema），或最后四分之一步数的等权平均（swa：arXiv:1803.05407）。",
    )
    max_grad_norm: Annotated[float, Gt(0)] = option(
        1.0, "Gradients are scaled down to this norm.", "梯度裁剪的范数上限。"
    )
    validate_every: Annotated[int, Ge(1)] | None = option(
        None,
        "Steps between validations; left out, once an epoch.",
        "两次验证之间的步数；省略时每轮一次。",
        aliases=("eval_steps",),
    )
    patience: Annotated[int, Ge(1)] | None = option(
        None,
        "Stop after this many validations without a better score.",
        "连续多少次验证无提升即停止。",
        aliases=("early_stopping_patience",),
    )
    checkpoint_every: Annotated[int, Ge(1)] | None = option(
        None,
        "Steps between checkpoints; left out, at each validation.",
        "两次检查点之间的步数；省略时与验证同步。",
        aliases=("save_steps",),
    )
    fit_head: Literal["before", "after"] | None = option(
        None,
        "Fit the head by penalised regression on the states, before the rest learns (linear probing, then fine-tuning: "
        "arXiv:2202.10054) or after it; with epochs=0 this alone is done: a linear probe.",
        "用带惩罚的回归在表示上拟合任务头：在其余权重学习之前（先线性探测再微调，arXiv:2202.10054）或之后；"
        "epochs=0 时只做这一步，即线性探测。",
    )
    head_strength: Annotated[float, Gt(0)] | None = option(
        None,
        "Weight of a row against that penalty (scikit-learn's C); left out, chosen by cross-validation on the training rows.",
        "每行相对惩罚项的权重（同 scikit-learn 的 C）；省略时在训练数据上交叉验证选取。",
    )
    gradient_checkpointing: bool = option(
        False,
        "Keep less for the backward pass and compute it again there: about a third more time, a fraction of the memory "
        "(arXiv:1604.06174).",
        "少存中间结果、反向时重算：时间约多三分之一，显存/内存大幅减少（arXiv:1604.06174）。",
        aliases=("activation_checkpointing",),
    )
    devices: Literal["auto"] | Annotated[int, Ge(1)] = option(
        1,
        "Processes of this machine that train together, each on a GPU of its own where there are any; auto: as many as GPUs.",
        "本机共同训练的进程数，有 GPU 时每个进程各用一块；auto 表示与 GPU 数相同。",
    )
    shard: bool = option(
        False,
        "With several processes, each holds a share of weights, gradients and optimizer state instead of all "
        "(FSDP, arXiv:2304.11277): for a model too large for one device.",
        "多进程时，每个进程只保存权重、梯度与优化器状态的一部分（FSDP，arXiv:2304.11277）：用于单个设备放不下的模型。",
    )
    workers: Annotated[int, Ge(0)] = option(
        0,
        "Processes that read and vary rows ahead of the arithmetic; 0: none beside it.",
        "提前读取与增强数据的进程数；0 表示不另开进程。",
        aliases=("dataloader_num_workers",),
    )
    precision: Literal["auto", "fp32", "bf16"] = option(
        "auto",
        "Number format of the arithmetic; auto measures which is faster here.",
        "计算精度；auto 会实测本机更快者。",
    )
    compile: Literal["auto", "always", "never"] = option(
        "auto",
        "Compile the backbone's blocks (torch.compile); auto tries it in runs of over twenty minutes and keeps the faster way.",
        "编译骨干网络各层（torch.compile）；auto 只在二十分钟以上的训练中试用，并保留更快的方式。",
    )
    threads: Annotated[int, Ge(1)] | None = option(
        None,
        "CPU threads for the arithmetic; left out, the cores that other work leaves free.",
        "计算线程数；省略时取其他任务未占用的核心数。",
    )
    max_unknown: Annotated[float, Ge(0), Le(1)] = option(
        0.05,
        "Refuse to train when a larger share of tokens is unknown to the vocabulary.",
        "未知词元占比超过此值则拒绝训练。",
    )
