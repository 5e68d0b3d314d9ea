"""Pages, each sent as one, whose policy lets only their own script and style run; `{{look.css}}` puts in what they share."""

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files

from starlette.responses import HTMLResponse

TRY, LABEL = "page.html", "labelling.html"


@cache
def _html(name: str) -> str:
    return re.sub(r"^\{\{([\w.]+)\}\}\n", lambda part: _read(part[1]), _read(name), flags=re.MULTILINE)


def _read(name: str) -> str:
    return files("jishi.serving").joinpath(name).read_text(encoding="utf-8")


@cache
def policy(name: str = TRY) -> str:
    """The Content-Security-Policy: the inline script and style by their SHA-256, this server, nothing else."""

    def hashes(tag: str) -> str:
        bodies = re.findall(rf"<{tag}>(.*?)</{tag}>", _html(name), re.DOTALL)
        digests = [base64.b64encode(hashlib.sha256(body.encode()).digest()).decode() for body in bodies]
        return " ".join(f"'sha256-{digest}'" for digest in digests)

    return (
        f"default-src 'none'; script-src {hashes('script')}; style-src {hashes('style')}; img-src 'self' data: blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def response(name: str = TRY) -> HTMLResponse:
    return HTMLResponse(_html(name), headers={"content-security-policy": policy(name), "x-frame-options": "DENY"})
