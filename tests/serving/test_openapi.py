"""The OpenAPI document, held against a live server by schemathesis: requests that fit it, and such that don't."""

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi import checks

from jishi.serving.app import create
from jishi.serving.entries import Entry
from jishi.serving.models import Models
from live import live

EXAMPLES = 8  # generated requests of an operation and a kind
ASKED = {"/classify": "reviews", "/api/v1/predict": "reviews", "/score": "similar", "/rerank": "similar"}
ASKED |= {"/v1/rerank": "similar", "/v1/embeddings": "similar"}  # all else is asked of the writer
SENSE = {  # what a document can't say: that a model has this column, and no labels; who speaks last; one text a stream
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "hello"}]},
    "/v1/completions": {"prompt": "good", "stream": True},
    "/v1/embeddings": {"dimensions": None},
    "/v2/models/{name}/infer": {"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["good"]}]},
    **{path: {"label": None} for path in ("/score", "/rerank", "/v1/rerank")},
}
BOUNDED = settings(
    max_examples=EXAMPLES, derandomize=True, database=None, deadline=None, phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
HELD = [
    checks.status_code_conformance, checks.content_type_conformance, checks.response_headers_conformance,
    checks.response_schema_conformance, checks.negative_data_rejection,
]  # fmt: skip
FORM = {  # refusals of a request's form, of which the document is to leave nothing out
    "serving.bad-field", "serving.bad-input", "serving.bad-json", "serving.bad-model", "serving.body-shape",
    "serving.body-type", "serving.field-missing", "serving.message-part", "serving.no-inputs", "serving.token-ids",
    "serving.unknown-field",
}  # fmt: skip


def operations(method):
    paths = create(Models([Entry("none", lambda: None)])).openapi()["paths"]
    return [path for path, methods in paths.items() if method in methods]


@pytest.fixture(scope="module")
def schema(writer, similar, predictor):
    """The document of a server of a model of each kind."""
    models = Models(
        [Entry("writer", lambda: writer), Entry("similar", lambda: similar), Entry("reviews", lambda: predictor)]
    )
    with live(models) as (url, _):
        yield schemathesis.openapi.from_url(f"{url}/openapi.json")


def ask(case, name=None):
    """The status of the answer, which is as the document says; `name` is the model that is asked."""
    if name and case.path_parameters:
        case.path_parameters = dict.fromkeys(case.path_parameters, name)
    elif name and isinstance(case.body, dict):
        case.body["model"] = name
    response = case.call(timeout=30)
    assert response.status_code < 500, response.text
    case.validate_response(response, checks=HELD)
    return response


@pytest.mark.parametrize("path", operations("get"))
def test_what_is_asked_for_is_told_as_documented(schema, path):
    """With names of models that are there, and with any."""
    statuses = set()

    @BOUNDED
    @given(schema[path]["GET"].as_strategy())
    def hold(case):
        statuses.add(ask(case).status_code)
        statuses.add(ask(case, "reviews").status_code)

    hold()
    assert statuses == ({200, 404} if "{" in path else {200})


@pytest.mark.parametrize("path", operations("post"))
def test_a_request_that_fits_the_document_is_not_refused_for_its_form(schema, path):
    """What it holds may be: texts without a word, turns in the wrong order, columns that the model has not."""
    statuses = set()

    @BOUNDED
    @given(schema[path]["POST"].as_strategy())
    def hold(case):
        case.body |= SENSE.get(path, {})
        response = ask(case, ASKED.get(path, "writer"))
        statuses.add(response.status_code)
        if response.status_code >= 400 and isinstance(error := response.json()["error"], dict):
            assert error["code"] not in FORM, error

    hold()
    assert 200 in statuses


@pytest.mark.parametrize("path", operations("post"))
def test_a_request_that_does_not_fit_the_document_is_refused_as_documented(schema, path):
    @BOUNDED
    @given(schema[path]["POST"].as_strategy(generation_mode=GenerationMode.NEGATIVE))
    def hold(case):
        assert 400 <= ask(case).status_code < 500

    hold()
