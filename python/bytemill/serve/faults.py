"""Errors in OpenAI's form, with a sentence that says what would be right."""

from __future__ import annotations

from typing import Any

__all__ = ["ApiError"]


class ApiError(Exception):
    """A request that is refused.

    Args:
        status: The HTTP status.
        message: One sentence for the caller.
        param: The field of the request that is wrong.
        code: OpenAI's name for the kind of error.
        retry_after_s: Seconds after which the caller may try again.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code
        self.headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
        if status == 408:  # the rest of the body would be read as the next request
            self.headers["Connection"] = "close"
        if status == 401:
            self.headers["WWW-Authenticate"] = "Bearer"

    def as_json(self) -> dict[str, Any]:
        """Return the body of the reply.

        >>> ApiError(404, "no such model", param="model", code="model_not_found").as_json()["error"]["type"]
        'invalid_request_error'
        """
        kind = {401: "authentication_error", 429: "rate_limit_error"}.get(self.status, "invalid_request_error")
        if self.status >= 500:
            kind = "server_error"
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}
