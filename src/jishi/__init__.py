"""Jishi (基石): from a foundation model and some data to a service that can be trusted. The verbs are in `jishi.api`."""

from jishi.api import doctor, evaluate, finetune, list_models, load, plan, predict, prepare, schema, serve

__version__ = "0.1.0"
__all__ = ["doctor", "evaluate", "finetune", "list_models", "load", "plan", "predict", "prepare", "schema", "serve"]
