"""The page to try a model: one file, sent with a policy that lets only its own script and style run."""

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files

from starlette.responses import HTMLResponse


@cache
def _html() -> str:
    return files("jishi.serving").joinpath("page.html").read_text(encoding="utf-8")


@cache
def policy() -> str:
    """The Content-Security-Policy: the inline script and style by their SHA-256, this server, nothing else."""

    def hashes(tag: str) -> str:
        bodies = re.findall(rf"<{tag}>(.*?)</{tag}>", _html(), re.DOTALL)
        digests = [base64.b64encode(hashlib.sha256(body.encode()).digest()).decode() for body in bodies]
        return " ".join(f"'sha256-{digest}'" for digest in digests)

    return (
        f"default-src 'none'; script-src {hashes('script')}; style-src {hashes('style')}; img-src 'self' data: blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def response() -> HTMLResponse:
    return HTMLResponse(_html(), headers={"content-security-policy": policy(), "x-frame-options": "DENY"})
