"""The core of one server process: models, schedulers, transports and metrics, put together.

A request passes through:

    transport       rest/protocol, rest/parser     | grpc_api/server: bytes, token, limits, memory budget
    RequestContext  rest/app                       | grpc_api/server: caller, method and deadline
    handler         core/handler: small requests on the event loop, large ones in threads; counts, request log
    request         rest/handlers.RequestParser    | grpc_api/servicer.predict_methods: body to arrays (wire), checked
                    against the signature (core/predict, core/classify_regress); large ones in core/reader_process
    models          core/models: the version for a name, a number, a label, or a canary
    servable        core/servable.ServableHandle: keeps the version loaded until the request is done
    batching        batching/adaptive, queue or per_model: a core/work.InferenceTask alone, or joined with others
    session         core/model, core/session: TensorFlow runs the graph
    wire            wire/json_answers              | wire/tensor_proto: arrays to the answer's bytes

`lifecycle` loads and unloads versions meanwhile. Metadata and reloads need no scheduler (`grpc_api/control`), nor
does text: `openai/service` reads its requests, `generation/engine` answers them.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serving.batching import per_model
from serving.core.graph import find_unchecked_decoders
from serving.core.handler import RequestHandler
from serving.core.model import LoadedModel
from serving.core.models import Canary, Models
from serving.core.reader_process import ReaderProcess
from serving.core.session import import_tensorflow
from serving.core.work import MemoryBudget
from serving.errors import Code, ServingError
from serving.generation import language_model
from serving.generation.engines import Engines
from serving.grpc_api import control, servicer
from serving.grpc_api.control import ReloadBounds
from serving.grpc_api.server import GrpcServer, RpcHandlers
from serving.lifecycle.manager import ServableManager
from serving.metrics import canary
from serving.metrics.exposition import merge_snapshots, render_page
from serving.metrics.model_states import record_states
from serving.metrics.registry import Metrics
from serving.openai.service import OpenAiService
from serving.options import RequestLog as RequestLogOptions
from serving.request_log.log import RequestLog, read_configs
from serving.rest import pages
from serving.rest.app import Application
from serving.rest.handlers import RequestParser
from serving.rest.server import RestServer
from serving.sockets import address
from serving.wire import protos

if TYPE_CHECKING:
    import socket
    from concurrent.futures import Executor

    from serving.core.work import Peers
    from serving.metrics.exposition import Snapshot
    from serving.options import ServeOptions

_LOG = logging.getLogger("keraspipe.serving")
_UNCHANGED = frozenset({Code.INVALID_ARGUMENT, Code.FAILED_PRECONDITION, Code.ABORTED})  # a list that was refused
_SWITCH_S = 0.0005  # how long the event loop waits for a thread that loads a model, at most
_NO_LOG = RequestLogOptions(Path("request-log"), rate=0.0)


class ServerCore:
    """What one server process is made of; lives on one event loop.

    Args:
        options: How to serve.
        executor: Threads that run graphs.
        writers, parser: Threads that write answers of megabytes, and one that reads large requests.
        control: Threads for pages, status and metadata, which wait for no model.
        peers: The server's other processes; None where it is the only one.
        config: A serialized `ReloadConfigRequest` that came since the server started, in place of the options' models.

    Attributes:
        models: What is served.
        draining: Whether the server is going away.
        monitoring_path: Path of the Prometheus page; None for none.
        url: Address of the REST API; empty when it is off.
    """

    def __init__(
        self,
        options: ServeOptions,
        executor: Executor,
        writers: Executor,
        parser: Executor,
        control: Executor,
        peers: Peers | None = None,
        config: bytes | None = None,
    ) -> None:
        self._options, self._control = options, control
        self._peers, self._config, self._bounds = peers, config, ReloadBounds((), ())
        self.models = Models(Canary(options.canary) if options.canary else None)
        self.draining, self.url, self.monitoring_path = False, "", options.monitoring_path
        self._metrics = Metrics()
        if peers:
            self._metrics.deaths(peers.deaths)
        self._log = RequestLog(options.request_log or _NO_LOG, self._metrics.record_log)
        self._manager = ServableManager(
            self.models, options, self._load_model, self._metrics.warmup, self._configure_log
        )
        self._budget = MemoryBudget(options.limits.memory_bytes)
        self._scheduler = per_model.make_scheduler(options, executor, self._metrics.batch)
        self._reader = ReaderProcess(self._budget.limit)
        bounds = options.limits.concurrent, self._budget, self._reader.thread
        self._handler = RequestHandler(self._scheduler, writers, parser, self._metrics, self._log, *bounds)
        self._engines = Engines(self._metrics, options.generation.waiting, options.drain_seconds)
        self._rest: RestServer | None = None
        self._grpc: GrpcServer | None = None

    async def load(self, stop: asyncio.Event) -> None:
        """Load the models as they lie on disk now; ends early, without them, once `stop` is set.

        Raises:
            ServingError: A model that must start does not.
        """
        halting = asyncio.get_running_loop().create_task(self._halt(stop))
        try:
            await asyncio.get_running_loop().run_in_executor(None, self._start_up)
        finally:
            halting.cancel()

    async def _halt(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._manager.halt()

    def _start_up(self) -> None:
        import_tensorflow()
        gc.freeze()  # a search for garbage would stop all requests while it looks through TensorFlow's modules
        sys.setswitchinterval(_SWITCH_S)
        self._manager.start_up()
        self._bounds = control.bounds_of_start(self._options, self._manager.configs)
        if self._config and (error := self._reload_here(self._config)):
            _LOG.error("The list of models received since the start was not applied: %s", error.text)
        self._configure_log()
        record_states(self._metrics, self.models)

    def _load_model(self, path: Path) -> LoadedModel:
        if self._options.per_model_batching:
            per_model.read_parameters(path)  # a version whose parameters are wrong is not served
        started, code = time.monotonic(), Code.OK
        try:
            if find_unchecked_decoders(path):
                _LOG.warning("%s decodes whatever is sent, and few bytes can end the server: export it anew", path)
            return language_model.warm_up(LoadedModel(path, self._options.session, self._options.loading.tags))
        except ServingError as error:
            code = error.code
            raise
        finally:
            self._metrics.load(str(path), code, time.monotonic() - started)

    def _configure_log(self) -> None:
        """Let each model's own `logging_config` decide about its requests."""
        self._log.configure(read_configs(self._manager.configs, self._options.request_log or _NO_LOG))

    def watch(self) -> None:
        """Watches the disk for changes, and answers the requests of the other processes."""
        self._manager.start()
        if self._peers:
            self._peers.listen({"metrics": lambda _: self._snapshot(), "reload": self._reload_here})

    def _reload(self, request: Any) -> Any:
        """Set the models, here and in the other processes."""
        control.check_bounds(request.config, self._bounds)
        try:
            response = control.handle_reload(self._manager, request, self._metrics.counters)
        except ServingError as error:
            if error.code not in _UNCHANGED:  # a model of the list cannot be loaded: the list holds all the same
                self._tell_peers(request)
            raise
        for refusal in self._tell_peers(request):
            raise refusal
        return response

    def _tell_peers(self, request: Any) -> list[ServingError]:
        return [error for error in self._ask_peers("reload", request.SerializeToString()) if error]

    def _ask_peers(self, kind: str, content: bytes | None) -> list[Any]:
        return self._peers.ask(kind, content) if self._peers else []

    def _reload_here(self, serialized: bytes) -> ServingError | None:
        """Set the models in this process; returns why that cannot be."""
        request = protos.load("apis.model_management_pb2").ReloadConfigRequest.FromString(serialized)
        try:
            control.handle_reload(self._manager, request)
        except ServingError as error:
            return error
        except Exception as error:  # noqa: BLE001 - the requester must not take it for a success
            _LOG.exception("The list of models was not applied")
            return ServingError(f"{type(error).__name__}: {error}", Code.INTERNAL)
        return None

    async def listen_grpc(self, holder: socket.socket | None, *, shared: bool = False) -> str:
        """Open the gRPC port and socket; returns the port's address, empty without a port."""
        options = self._options
        if holder is None and options.grpc_socket is None:
            return ""
        where = address(holder) if holder else ""
        self._grpc = GrpcServer(options, self._handlers(), shared=shared)
        await self._grpc.listen(holder, options.grpc_socket)
        return where

    def _handlers(self) -> RpcHandlers:
        options, check = self._options, self._options.loading.check_methods
        predict_methods = servicer.predict_methods(
            self.models, tensor_content=options.tensor_content, check_methods=check, process=self._reader
        )
        control_methods = servicer.control_methods(self.models, self._reload)
        if options.health_service:
            control_methods |= control.health_methods(lambda: self.draining)
        return RpcHandlers(self._handler, predict_methods, control_methods, self._control, self._budget, options)

    async def listen_rest(self, holder: socket.socket | None) -> str:
        """Open the REST port; returns its address, empty without a port."""
        if holder is None:
            return ""
        options = self._options
        parser = RequestParser(
            self.models,
            options.limits.request_bytes,
            half=options.half_in_json,
            check_methods=options.loading.check_methods,
            budget=self._budget,
            process=self._reader,
        )
        application = Application(
            self.models,
            self._handler,
            self._control,
            lambda method, path: pages.answer_page(method, path, self),
            self.monitoring_path,
            parser,
            options.rest_timeout_seconds,
            OpenAiService(self.models, self._engines, self._handler, self._control, options.generation.timeout_s),
        )
        self._rest = RestServer(options, self._budget, application.handle, self._handler.refusals)
        self.url = self._rest.url(holder)
        await self._rest.listen(holder)
        return self.url

    def model_names(self) -> list[str]:
        """Names of the models that are to be served."""
        return [config.name for config in self._manager.configs]

    def metrics(self) -> bytes:
        """The Prometheus page of all processes of the server."""
        return render_page(self._snapshots())

    def canary(self) -> dict[str, Any]:
        """What both sides of each canary have answered, in all processes of the server."""
        return canary.summarize_sides(self._snapshots(), self._options.canary) if self._options.canary else {}

    def _snapshots(self) -> Snapshot:
        return merge_snapshots([self._snapshot(), *self._ask_peers("metrics", None)])

    def _snapshot(self) -> Snapshot:
        record_states(self._metrics, self.models)
        return self._metrics.snapshot()

    async def drain(self) -> None:
        """Answer what is in flight, and close the ports."""
        self.draining = True
        _LOG.info("Draining: requests in flight are answered")
        self._scheduler.drain()
        self._engines.stop(self._options.drain_seconds)
        seconds = self._options.drain_seconds
        await asyncio.gather(*(each.drain(seconds) for each in (self._rest, self._grpc) if each))

    async def close(self) -> None:
        """Let everything go."""
        await asyncio.get_running_loop().run_in_executor(None, self._close)

    def _close(self) -> None:
        if self._options.canary_report:
            canary.write_report(self._snapshot(), self._options.canary_report)
        self._reader.close()
        self._manager.stop()
        self._log.close(self._options.drain_seconds)
