"""The shapes of the HTTP protocol, for OpenAPI."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Plain = str | float
TextOrRow = str | dict[str, Plain | list[Plain | dict[str, Plain]] | None]


class PredictRequest(BaseModel):
    """What to answer: a text (or base64 picture), an object of the model's columns, or a list of either."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"inputs": "很好用，物流也快"},
                {"inputs": ["Works well.", "Broke after a day."]},
                {"inputs": [{"text": "A dog runs.", "text_pair": "An animal moves."}]},
                {"inputs": [{"image": "iVBORw0KGgo…"}]},
                {"inputs": {"prompt": [{"role": "user", "content": "1 + 1?"}]}},
            ]
        },
    )
    inputs: TextOrRow | Annotated[list[TextOrRow], Field(min_length=1)] = Field(
        description="One input or a list of them; answers keep the order."
    )
    model: str | None = Field(default=None, description="Which model of the server answers; left out, the first.")


class ErrorBody(BaseModel):
    code: str = Field(description="A stable name to match on.", examples=["serving.too-many-items"])
    kind: str = Field(description="The family of the error.", examples=["LimitError"])
    message: str = Field(description="One sentence in the language of Accept-Language (en, zh), with the cure.")
    values: dict[str, Any] = Field(
        description="The values the sentence names.", examples=[{"given": 100, "allowed": 64}]
    )


class ErrorResponse(BaseModel):
    """Every refusal and failure, whatever the status."""

    error: ErrorBody


class PredictResponse(BaseModel):
    """The answers in the order of the inputs. In a list, a row that can't be answered has {"error": …} in its place."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "predictions": [
                        {"label": "positive", "score": 0.97, "scores": {"positive": 0.97, "negative": 0.03}}
                    ],
                    "errors": 0,
                    "model": "reviews@3f2a91c04b7e",
                    "latency_ms": 14.2,
                }
            ]
        }
    )
    predictions: list[dict[str, Any]]
    errors: int = Field(description="How many of the predictions are errors.")
    model: str = Field(description="The bundle that answered: its name and the first digits of its SHA-256.")
    latency_ms: float = Field(description="From the request read to the answers made, in milliseconds.")


class Column(BaseModel):
    name: str
    modality: str
    required: bool
    binary: bool = Field(description="Whether its values are base64.")


class ModelResponse(BaseModel):
    """What the page and a client want to know of the model."""

    model: str
    task: str
    columns: list[Column]
    labels: list[str]
    calibrated: bool = Field(description="Whether the confidences were fitted on held-out rows.")
    scores: dict[str, Any] = Field(description="What the bundle scored on its held-out rows.")
    versions: dict[str, Any]
    examples: list[dict[str, Any]] = Field(description="Inputs of a few of the bundle's probes.")
    limits: dict[str, Any]
    jishi: str


class ModelEntry(BaseModel):
    name: str
    task: str
    state: str = Field(description="waiting (not asked yet, or let go), ready, refused", examples=["ready"])
    bytes: int = Field(description="Of its own weights in memory.")
    base: str | None = Field(description="SHA-256 of the base whose weights it shares with others.")


class ModelsResponse(BaseModel):
    """The models of the server in their order; the first answers where a request names none."""

    models: list[ModelEntry]
    bytes: int = Field(description="Of all weights in memory, a base counted once.")
    memory: int | None = Field(description="The bound of it, None where there is none.")


class HealthResponse(BaseModel):
    status: str = Field(examples=["ok"])
