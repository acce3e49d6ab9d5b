"""A gRPC channel to a session's Spark Connect server, which renews its token by itself.

PySpark gives each request the metadata of its URL, and a query that reattaches to its result keeps
the metadata that it began with. So the token is not in the URL: an interceptor below PySpark puts
the present one into every request.
"""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING, Any, Protocol

import grpc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HEADER = "x-aws-proxy-auth"


class Tokens(Protocol):
    """Where the tokens come from. Its methods are called from several threads."""

    def token(self) -> str:
        """Return a token that is valid now."""
        ...

    def renewed(self, refused: str) -> str:
        """Return another token than one that was refused."""
        ...

    def explained(self, code: str, details: str) -> Exception | None:
        """Return an error that tells more than gRPC's own, None where there is nothing to add."""
        ...


class _Details(
    collections.namedtuple(  # noqa: PYI024 - gRPC's example; its type hints are not available
        "_Details", "method timeout metadata credentials wait_for_ready compression"
    ),
    grpc.ClientCallDetails,  # type: ignore[misc]
):
    """What gRPC has to know of a call."""


class TokenInterceptor(
    grpc.UnaryUnaryClientInterceptor,  # type: ignore[misc]
    grpc.UnaryStreamClientInterceptor,  # type: ignore[misc]
    grpc.StreamUnaryClientInterceptor,  # type: ignore[misc]
):
    """Gives every request a token, and a refused one another, once."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def intercept_unary_unary(
        self, continuation: Callable[..., Any], client_call_details: Any, request: Any
    ) -> Any:
        """Send a request that has one answer."""
        token = self._tokens.token()
        call = continuation(_with_token(client_call_details, token), request)
        if call.code() is grpc.StatusCode.UNAUTHENTICATED:
            token = self._tokens.renewed(token)
            call = continuation(_with_token(client_call_details, token), request)
        self._check(call)
        return call

    def intercept_unary_stream(
        self, continuation: Callable[..., Any], client_call_details: Any, request: Any
    ) -> Any:
        """Send a request that has a stream of answers."""
        return _Stream(
            self._tokens,
            lambda token: continuation(_with_token(client_call_details, token), request),
        )

    def intercept_stream_unary(
        self, continuation: Callable[..., Any], client_call_details: Any, request_iterator: Any
    ) -> Any:
        """Send a stream that has one answer; it cannot be sent a second time."""
        details = _with_token(client_call_details, self._tokens.token())
        call = continuation(details, request_iterator)
        self._check(call)
        return call

    def _check(self, call: Any) -> None:
        code = call.code()
        if code is grpc.StatusCode.OK:
            return
        if error := self._tokens.explained(code.name, call.details() or ""):
            raise error


class _Stream:
    """A stream of answers, opened again where its first token is refused."""

    def __init__(self, tokens: Tokens, open_call: Callable[[str], Any]) -> None:
        self._tokens = tokens
        self._open_call = open_call
        self._token = tokens.token()
        self._call = open_call(self._token)
        self._may_reopen = True

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        while True:
            try:
                answer = next(self._call)
            except grpc.RpcError as error:
                code = self._call.code()
                if code is grpc.StatusCode.UNAUTHENTICATED and self._may_reopen:
                    self._may_reopen = False
                    self._token = self._tokens.renewed(self._token)
                    self._call = self._open_call(self._token)
                    continue
                if explained := self._tokens.explained(code.name, self._call.details() or ""):
                    raise explained from error
                raise
            self._may_reopen = False
            return answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)


def _with_token(details: Any, token: str) -> _Details:
    kept = [(name, value) for name, value in details.metadata or () if name != HEADER]
    return _Details(
        details.method,
        details.timeout,
        [*kept, (HEADER, token)],
        details.credentials,
        getattr(details, "wait_for_ready", None),
        getattr(details, "compression", None),
    )


def is_ready(channel: grpc.Channel, seconds: float) -> bool:
    """Wait until a channel is connected, TLS included.

    Args:
        channel: The channel.
        seconds: How long to wait.

    Returns:
        Whether it is.
    """
    try:
        grpc.channel_ready_future(channel).result(seconds)
    except grpc.FutureTimeoutError:
        return False
    return True


def with_tokens(channel: grpc.Channel, tokens: Tokens) -> grpc.Channel:
    """Return a channel that gives each request a token."""
    return grpc.intercept_channel(channel, TokenInterceptor(tokens))
