"""The Open Inference Protocol, version 2 (KServe's): `/v2`, its health, a model's metadata, and `POST /v2/models/NAME/infer`.

Each column of the task is an input, each key of its answers an output. Tensors are JSON; the binary extension is refused.
"""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Annotated, Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from jishi.core import registry
from jishi.core.contracts import Modality, Prediction
from jishi.core.errors import LimitError, ServingError, UsageError, did_you_mean
from jishi.serving import body, dialects, wanted
from jishi.serving.limits import Limits
from jishi.serving.models import Models
from jishi.serving.service import Service
from jishi.serving.values import Profile
from jishi.serving.wanted import Integer, Wanted

REFUSALS = dialects.responses(dialects.InferenceError)
MODEL = "/v2/models/{name}"
BINARY = ("binary_data", "binary_data_output", "binary_data_size")  # parameters of the binary extension
TRUNCATED = "truncated"


class Tensor(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    name: str
    shape: list[Annotated[int, Integer]]
    datatype: str = Field(examples=["BYTES"])
    data: list[Any] = Field(description="Flat, or nested as the shape says.")
    parameters: dict[str, Any] | None = None


class Named(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    name: str
    parameters: dict[str, Any] | None = None


class InferRequest(Wanted):
    """Rows, a tensor a column."""

    id: str | None = Field(default=None, description="Given back in the answer.")
    inputs: list[Tensor] = Field(min_length=1)
    outputs: list[Named] | None = Field(default=None, description="Which are given; left out, all.")
    parameters: dict[str, Any] | None = None


class InferResponse(BaseModel):
    model_name: str
    model_version: str | None = Field(default=None, description="The first digits of the bundle's fingerprint.")
    id: str | None = None
    outputs: list[Tensor]


class Server(BaseModel):
    name: str
    version: str
    extensions: list[str]


class Live(BaseModel):
    live: bool


class Ready(BaseModel):
    ready: bool


class ModelReady(Ready):
    name: str


class TensorMetadata(BaseModel):
    name: str
    datatype: str
    shape: list[int] = Field(description="-1: any number.")


class ModelMetadata(BaseModel):
    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


@dataclass(frozen=True)
class Kind:
    """How values of a kind are told: each becomes what `flat` makes of it; a vector gives the shape a second number."""

    datatype: str
    flat: Callable[[Any], Any] = lambda value: value
    vector: bool = False


KINDS: Mapping[Any, Kind] = {
    str: Kind("BYTES"),
    bool: Kind("BOOL"),
    int: Kind("INT64"),
    float: Kind("FP64"),
    list[float]: Kind("FP32", vector=True),
}
OTHER = Kind("BYTES", lambda value: json.dumps(value, ensure_ascii=False))


def install(app: FastAPI, models: Models) -> None:
    _about(app, models)

    @app.post(
        f"{MODEL}/infer",
        response_model=InferResponse,
        responses=REFUSALS,
        openapi_extra=wanted.documented(InferRequest),
        summary="Answer rows (Open Inference)",
    )
    async def infer(name: str, request: Request) -> Response:
        models.find(name)
        if "inference-header-content-length" in request.headers:
            raise UsageError("serving.binary-tensors")
        asked = await wanted.read(request, models.limits, InferRequest)
        _check_parameters("parameters", asked.parameters)
        async with models.use(name) as service:
            profile = service.profile
            names = _wanted(asked.outputs, profile)
            answers = await service.all(request, _rows(asked.inputs, profile, models.limits))
        predictions = [{TRUNCATED: False, **answer.prediction} for answer in answers]
        given = {} if asked.id is None else {"id": asked.id}
        outputs = _outputs(predictions, profile, names)
        versions = _versions(service)
        version = {"model_version": versions[0]} if versions else {}
        return JSONResponse({"model_name": name, **version, **given, "outputs": outputs})


def _about(app: FastAPI, models: Models) -> None:
    asked = {status: REFUSALS[status] for status in (401, 429)}
    found = {status: REFUSALS[status] for status in (401, 404, 429, 503)}

    @app.get("/v2", response_model=Server, responses=asked, summary="The server (Open Inference)")
    async def server() -> Response:
        return JSONResponse({"name": "jishi", "version": version("jishi"), "extensions": []})

    @app.get("/v2/health/live", response_model=Live, summary="Whether the process is alive (Open Inference)")
    async def live() -> Response:
        return JSONResponse({"live": True})

    @app.get(
        "/v2/health/ready",
        response_model=Ready,
        responses={503: REFUSALS[503]},
        summary="Whether the server can answer (Open Inference)",
    )
    async def ready() -> Response:
        models.check_ready()
        return JSONResponse({"ready": True})

    @app.get(MODEL, response_model=ModelMetadata, responses=found, summary="A model's tensors (Open Inference)")
    async def metadata(name: str) -> Response:
        async with models.use(name) as service:
            return JSONResponse(_metadata(name, service))

    @app.get(
        f"{MODEL}/ready",
        response_model=ModelReady,
        responses=found,
        summary="Whether a model can be asked (Open Inference)",
    )
    async def model_ready(name: str) -> Response:
        """One that was not read yet can be: its first request waits for it."""
        entry = models.find(name)
        models.check_ready()
        if entry.state == "refused":
            raise ServingError("serving.model-refused", name=name)
        return JSONResponse({"name": name, "ready": True})


def _versions(service: Service) -> list[str]:
    """The first digits of the bundle's identity; none where the model is of no bundle."""
    _, sign, digits = service.name.rpartition("@")
    return [digits] if sign else []


def _metadata(name: str, service: Service) -> dict[str, Any]:
    profile = service.profile
    inputs = [{"name": column, "datatype": "BYTES", "shape": [-1]} for column in profile.columns]
    kinds = {output: _kind(profile, output) for output in _held(profile)}
    outputs = [
        {"name": output, "datatype": kind.datatype, "shape": [-1, -1] if kind.vector else [-1]}
        for output, kind in kinds.items()
    ]
    about = {"name": name, "versions": _versions(service), "platform": f"jishi_{profile.task}"}
    return {**about, "inputs": inputs, "outputs": outputs}


def _held(profile: Profile) -> list[str]:
    return [*profile.answers, TRUNCATED]


def _kind(profile: Profile, output: str) -> Kind:
    return KINDS.get(bool if output == TRUNCATED else profile.answers[output], OTHER)


def _wanted(outputs: Sequence[Named] | None, profile: Profile) -> list[str] | None:
    """The names of the outputs that are asked for, None where any will do. Raises UsageError."""
    for output in outputs or ():
        _check_parameters(f"outputs.{output.name}.parameters", output.parameters)
    return _known("outputs", [output.name for output in outputs], _held(profile)) if outputs else None


def _known(field: str, names: list[str], allowed: Collection[str]) -> list[str]:
    """Names of which each is one of those allowed, once. Raises UsageError."""
    for place, name in enumerate(names):
        if name not in allowed:
            hint = did_you_mean(name, allowed)
            raise UsageError("serving.no-tensor", field=field, given=name[:80], hint=hint, allowed=", ".join(allowed))
        if name in names[:place]:
            raise UsageError("serving.tensor-twice", field=field, given=name)
    return names


def _check_parameters(field: str, parameters: Mapping[str, Any] | None) -> None:
    """Raises UsageError for a parameter that asks for something."""
    for name, value in (parameters or {}).items():
        if name not in BINARY:
            given = json.dumps(value, ensure_ascii=False)[: wanted.SHOWN]
            raise UsageError("serving.unsupported", field=f"{field}.{name}"[:80], given=given)
        if value is not False:
            raise UsageError("serving.binary-tensors")


def _rows(inputs: Sequence[Tensor], profile: Profile, limits: Limits) -> list[dict[str, Any]]:
    """The raw rows that tensors hold. Raises UsageError, LimitError."""
    _known("inputs", [tensor.name for tensor in inputs], profile.columns)
    columns = {}
    for tensor in inputs:
        _check_parameters(f"inputs.{tensor.name}.parameters", tensor.parameters)
        if tensor.datatype != "BYTES":
            raise UsageError("serving.tensor-type", name=tensor.name, given=tensor.datatype[:40])
        columns[tensor.name] = _texts(tensor)
    count = len(next(iter(columns.values())))
    if count > limits.max_items:
        raise LimitError("serving.too-many-items", given=count, allowed=limits.max_items)
    for tensor in inputs:
        if len(columns[tensor.name]) != count:
            raise _misfit(tensor)
    read = {name: [_value(text, profile, name) for text in texts] for name, texts in columns.items()}
    rows = [dict(zip(read, values, strict=True)) for values in zip(*read.values(), strict=True)]
    for place, row in enumerate(rows):
        body.check(row, f"inputs[{place}]")
    return rows


def _texts(tensor: Tensor) -> list[str]:
    """The elements of a tensor. Raises UsageError where they are not as its shape says, or no texts."""
    nested = len(tensor.shape) == 2 and any(isinstance(part, list) for part in tensor.data)
    if nested and not all(isinstance(part, list) and len(part) == 1 for part in tensor.data):
        raise _misfit(tensor)
    texts = [part[0] for part in tensor.data] if nested else tensor.data
    fits = tensor.shape in ([len(texts)], [len(texts), 1])
    if not texts or not fits or not all(isinstance(text, str) for text in texts):
        raise _misfit(tensor)
    return texts


def _misfit(tensor: Tensor) -> UsageError:
    return UsageError("serving.tensor-shape", name=tensor.name, given=str(tensor.shape)[: wanted.SHOWN])


def _value(text: str, profile: Profile, column: str) -> Any:
    """What a column holds: the text, or of a conversation the turns that it is as JSON."""
    if not registry.get(Modality, profile.columns[column].rstrip("?")).turns or not text.lstrip().startswith("["):
        return text
    return body.parse(text.encode())


def _outputs(predictions: Sequence[Prediction], profile: Profile, names: Sequence[str] | None) -> list[dict[str, Any]]:
    """The tensors of what predictions hold. Raises UsageError for a named one that some of them lack."""
    found = []
    for name in names or _held(profile):
        if all(name in prediction for prediction in predictions):
            found.append(_tensor(name, [prediction[name] for prediction in predictions], _kind(profile, name)))
        elif names:
            raise UsageError("serving.output-lacking", name=name)
    return found


def _tensor(name: str, values: Sequence[Any], kind: Kind) -> dict[str, Any]:
    shape = [len(values), len(values[0])] if kind.vector else [len(values)]
    data = [number for value in values for number in value] if kind.vector else [kind.flat(value) for value in values]
    return {"name": name, "datatype": kind.datatype, "shape": shape, "data": data}
