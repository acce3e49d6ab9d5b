"""Pulumi's provider protocol, by the Python SDK's ``pulumi.provider.experimental``.

Pulumi calls that package experimental, so this module, and only this one, uses it:

======================  =====================================================================
what is wanted          the detail relied on
======================  =====================================================================
the protocol            ``provider.Provider``, its requests and responses;
                        ``server.ProviderServicer``, made with (args, version, provider,
                        engine_address)
values                  ``property_value.PropertyValue``; an unknown value arrives as the text
                        that stands for it on the wire, and leaves as that
errors as sentences     the servicer raises an exception with a traceback in its text while it
                        handles ours, which is then its ``__context__``
a partly failed create  the servicer's methods take gRPC's context, whose ``abort`` takes the
                        details of the protocol's ``ErrorResourceInitFailed``
======================  =====================================================================

Secrets are kept by position: what was secret in the inputs is secret in what is answered.
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import grpc
import grpc.aio
from pulumi.provider.experimental import provider as sdk
from pulumi.provider.experimental.property_value import Computed, PropertyValue
from pulumi.provider.experimental.server import ProviderServicer
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc, status_pb2

from athena_session_provider.plugin.adapter import UNKNOWN, UNKNOWNS, Adapter, PartlyCreatedError
from athena_session_provider.plugin.engine import Engine
from athena_session_provider.plugin.schema import SECRET_SETTINGS, package_schema, version
from athena_session_provider.service.errors import AthenaSessionError

THREADS = 256
"""Sessions that the plugin works on at the same time; a waiting thread costs little."""

MAXIMUM_MESSAGE_BYTES = 400 * 1024 * 1024
"""What the engine itself allows for one message."""

T = TypeVar("T")


def plain(value: PropertyValue) -> Any:
    """Return a value of the SDK as dicts, lists, texts, numbers; UNKNOWN for what is not known."""
    content = value.value
    if isinstance(content, Computed) or (isinstance(content, str) and content in UNKNOWNS):
        return UNKNOWN
    if isinstance(content, Mapping):
        return {key: plain(item) for key, item in content.items()}
    if isinstance(content, (list, tuple)):
        return [plain(item) for item in content]
    return content


def plain_map(values: Mapping[str, PropertyValue]) -> dict[str, Any]:
    """Return a map of values of the SDK as plain values."""
    return {key: plain(value) for key, value in values.items()}


def wrapped(value: Any, like: PropertyValue | None = None) -> PropertyValue:
    """Return a plain value as one of the SDK, which has no kind of number but float.

    Args:
        value: The plain value.
        like: A value that says what is secret: the same place in the inputs.
    """
    inside = like.value if like is not None else None
    if isinstance(value, Mapping):
        found = PropertyValue(wrapped_map(value, inside if isinstance(inside, Mapping) else None))
    elif isinstance(value, (list, tuple)):
        places = list(inside) if isinstance(inside, (list, tuple)) else []
        places += [None] * (len(value) - len(places))
        found = PropertyValue([wrapped(*pair) for pair in zip(value, places, strict=False)])
    elif isinstance(value, int) and not isinstance(value, bool):
        found = PropertyValue(float(value))
    else:
        found = PropertyValue(value)
    return found.with_secret(like is not None and like.is_secret)


def wrapped_map(
    values: Mapping[str, Any], like: Mapping[str, PropertyValue] | None = None
) -> dict[str, PropertyValue]:
    """Return a map of plain values as one of the SDK's, with the secrets of another one."""
    like = like or {}
    return {key: wrapped(value, like.get(key)) for key, value in values.items()}


_KINDS = {
    ("add", False): sdk.PropertyDiffKind.ADD,
    ("add", True): sdk.PropertyDiffKind.ADD_REPLACE,
    ("delete", False): sdk.PropertyDiffKind.DELETE,
    ("delete", True): sdk.PropertyDiffKind.DELETE_REPLACE,
    ("update", False): sdk.PropertyDiffKind.UPDATE,
    ("update", True): sdk.PropertyDiffKind.UPDATE_REPLACE,
}


class AthenaSessionPlugin(sdk.Provider):
    """The provider of the package: each call goes to the adapter, on a thread."""

    def __init__(self, adapter: Adapter) -> None:
        self._adapter = adapter
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="session")

    async def _run(self, call: Callable[..., T], *arguments: Any) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, functools.partial(call, *arguments))

    def wait(self) -> None:
        """Wait until no operation runs any more."""
        self._pool.shutdown(wait=True)

    async def get_schema(self, _request: sdk.GetSchemaRequest) -> sdk.GetSchemaResponse:
        """GetSchema."""
        return sdk.GetSchemaResponse(json.dumps(await self._run(package_schema)))

    async def check_config(self, request: sdk.CheckRequest) -> sdk.CheckResponse:
        """CheckConfig."""
        settings, failures = await self._run(
            self._adapter.check_config, plain_map(request.old_inputs), plain_map(request.new_inputs)
        )
        # Keys are stored encrypted, also where the stack's configuration has them as plain text.
        inputs = {
            name: wrapped(value).with_secret(name in SECRET_SETTINGS)
            for name, value in settings.items()
        }
        return sdk.CheckResponse(inputs, _failures(failures))

    async def configure(self, request: sdk.ConfigureRequest) -> sdk.ConfigureResponse:
        """Configure."""
        self._adapter.configure(plain_map(request.args))
        return sdk.ConfigureResponse(accept_secrets=True, supports_preview=True)

    async def invoke(self, request: sdk.InvokeRequest) -> sdk.InvokeResponse:
        """Invoke."""
        result = await self._run(self._adapter.invoke, request.tok, plain_map(request.args))
        return sdk.InvokeResponse(wrapped_map(result))

    async def check(self, request: sdk.CheckRequest) -> sdk.CheckResponse:
        """Check."""
        news = request.new_inputs
        inputs, failures = await self._run(
            self._adapter.check,
            request.urn,
            plain_map(request.old_inputs),
            plain_map(news),
            [name for name, value in news.items() if value.contains_secret()],
        )
        return sdk.CheckResponse(wrapped_map(inputs, news), _failures(failures))

    async def diff(self, request: sdk.DiffRequest) -> sdk.DiffResponse:
        """Diff."""
        found = await self._run(
            self._adapter.diff,
            request.urn,
            request.resource_id,
            plain_map(request.old_state),
            plain_map(request.new_inputs),
        )
        return sdk.DiffResponse(
            changes=bool(found.changed),
            replaces=found.replaces,
            diffs=found.changed,
            delete_before_replace=True,
            detailed_diff={
                path: sdk.PropertyDiff(_KINDS[kind, replaces], input_diff=False)
                for path, (kind, replaces) in found.detailed.items()
            },
        )

    async def create(self, request: sdk.CreateRequest) -> sdk.CreateResponse:
        """Create."""
        inputs = plain_map(request.properties)
        if request.preview:
            known = self._adapter.preview_create(inputs)
            return sdk.CreateResponse("", wrapped_map(known, request.properties))
        session_id, outputs = await self._run(
            self._adapter.create, request.urn, inputs, request.timeout
        )
        return sdk.CreateResponse(session_id, wrapped_map(outputs, request.properties))

    async def read(self, request: sdk.ReadRequest) -> sdk.ReadResponse:
        """Read."""
        session_id, outputs, inputs = await self._run(
            self._adapter.read,
            request.urn,
            request.resource_id,
            plain_map(request.properties),
            plain_map(request.inputs),
        )
        return sdk.ReadResponse(
            session_id,
            wrapped_map(outputs, request.properties),
            wrapped_map(inputs, request.inputs),
        )

    async def update(self, request: sdk.UpdateRequest) -> sdk.UpdateResponse:
        """Update."""
        olds, news = plain_map(request.olds), plain_map(request.news)
        if request.preview:
            known = self._adapter.preview_update(olds, news)
            return sdk.UpdateResponse(wrapped_map(known, request.news))
        outputs = await self._run(
            self._adapter.update, request.urn, request.resource_id, olds, news
        )
        return sdk.UpdateResponse(wrapped_map(outputs, request.news))

    async def delete(self, request: sdk.DeleteRequest) -> None:
        """Delete."""
        await self._run(
            self._adapter.delete,
            request.urn,
            request.resource_id,
            plain_map(request.properties),
            request.timeout,
        )

    async def cancel(self) -> None:
        """Cancel."""
        self._adapter.cancel()


def _failures(failures: list[tuple[str, str]]) -> list[sdk.CheckFailure]:
    return [sdk.CheckFailure(path, reason) for path, reason in failures]


async def _answer(call: Callable[..., Awaitable[T]], context: Any, *arguments: Any) -> T:
    """Await a method of the SDK's servicer; answer with our own errors as sentences.

    Every other exception keeps its traceback.
    """
    try:
        return await call(*arguments, context)
    except Exception as exc:
        error = exc if isinstance(exc, AthenaSessionError) else exc.__context__
        if not isinstance(error, AthenaSessionError):
            raise
        if isinstance(error, PartlyCreatedError):
            details = _details(error, PropertyValue.unmarshal_map(arguments[0].properties))
            metadata = (("grpc-status-details-bin", details),)
            await context.abort(grpc.StatusCode.UNKNOWN, str(error), metadata)
        await context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        raise


def _details(error: PartlyCreatedError, inputs: dict[str, PropertyValue]) -> bytes:
    """Return the gRPC status by which the engine stores a resource whose create failed."""
    status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=str(error))
    status.details.add().Pack(
        provider_pb2.ErrorResourceInitFailed(
            id=error.session_id,
            properties=PropertyValue.marshal_map(wrapped_map(error.outputs, inputs)),
            inputs=PropertyValue.marshal_map(inputs),
            reasons=[str(error)],
        )
    )
    serialized: bytes = status.SerializeToString()
    return serialized


class Servicer(ProviderServicer):
    """The SDK's servicer, without the traceback that it puts into every error."""

    async def CheckConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Check the provider's settings."""
        return await _answer(super().CheckConfig, context, request)

    async def Configure(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Take the provider's settings."""
        return await _answer(super().Configure, context, request)

    async def Invoke(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Call a function of the package."""
        return await _answer(super().Invoke, context, request)

    async def Check(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Check a session's inputs."""
        return await _answer(super().Check, context, request)

    async def Diff(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Compare a session with its new inputs."""
        return await _answer(super().Diff, context, request)

    async def Create(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Start a session."""
        return await _answer(super().Create, context, request)

    async def Read(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Read a session."""
        return await _answer(super().Read, context, request)

    async def Update(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Change a session's tags."""
        return await _answer(super().Update, context, request)

    async def Delete(self, request: Any, context: Any) -> Any:  # noqa: N802
        """End a session."""
        return await _answer(super().Delete, context, request)


async def serve(address: str) -> None:
    """Serve the provider until the engine ends the process, or is gone itself.

    Args:
        address: Host and port of the engine.
    """
    loop = asyncio.get_running_loop()
    engine = Engine(address)
    adapter = Adapter(engine)
    stopped = asyncio.Event()

    def stop(*_signal_and_frame: object) -> None:
        adapter.cancel()
        loop.call_soon_threadsafe(stopped.set)

    # The engine ends its plugins by SIGINT, and kills those that still run seconds later.
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_number, stop)
    engine.watch(stop)
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", MAXIMUM_MESSAGE_BYTES)])
    plugin = AthenaSessionPlugin(adapter)
    servicer = Servicer([address], version(), plugin, engine_address=address)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    # The engine reads the port from the first line.
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await stopped.wait()
    # The threads that still work on sessions have been cancelled; the process ends with the last.
    await server.stop(grace=0)
    plugin.wait()


def main() -> None:
    """Run the plugin: the console script ``pulumi-resource-athena-session``."""
    addresses = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    if not addresses or ":" not in addresses[0]:
        sys.exit(
            f"pulumi-resource-athena-session {version()} is a plugin, which Pulumi's engine "
            "starts with its own address. In a project, add it with `pulumi package add`."
        )
    asyncio.run(serve(addresses[0]))
    # gRPC may wait without end for its own threads at the exit of the interpreter.
    sys.stdout.flush()
    os._exit(0)
