"""Jishi (基石): from a foundation model and some data to a service that can be trusted. The verbs are in `jishi.api`."""

from jishi.api import (
    advise,
    benchmark,
    compress,
    doctor,
    embed,
    evaluate,
    finetune,
    index,
    label,
    label_errors,
    label_export,
    label_import,
    label_page,
    list_models,
    load,
    mine,
    plan,
    predict,
    prepare,
    pretrain,
    schema,
    search,
    serve,
    tokenizer,
    tune,
)  # fmt: skip

__version__ = "0.1.0"
__all__ = [
    "advise", "benchmark", "compress", "doctor", "embed", "evaluate", "finetune", "index", "label", "label_errors",
    "label_export", "label_import", "label_page", "list_models", "load", "mine", "plan", "predict", "prepare", "pretrain",
    "schema", "search", "serve", "tokenizer", "tune",
]  # fmt: skip
