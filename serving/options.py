"""Options of an embedded server: one frozen dataclass per concern, and one per model to serve."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path


@dataclass(frozen=True)
class Loading:
    """How versions are found and loaded.

    Attributes:
        poll_seconds: Pause between two looks at the disk; 0 for one look only, negative for none.
        config_poll_seconds: Pause between two readings of the models' config file; 0 for one reading only.
        max_retries: How often a load that failed is tried again.
        retry_seconds: Pause before each further try.
        load_threads: Versions loaded at a time; 0 for one.
        unload_threads: Versions unloaded at a time; 0 for one.
        tags: Tags of the graph in a SavedModel.
        warmup: Whether a version's own warm-up requests are run before it serves.
        warmup_iterations: How often each of them is run; 0 for once.
        labels_ahead: Whether a new label may name a version that is not served (yet).
        check_methods: Whether classify and regress need the signature's method name to fit.
        must_start: Whether a model that cannot be loaded at the start is fatal, as it is for tensorflow/serving.
    """

    poll_seconds: float = 1.0
    config_poll_seconds: float = 0.0
    max_retries: int = 5
    retry_seconds: float = 60.0
    load_threads: int = 0
    unload_threads: int = 0
    tags: tuple[str, ...] = ("serve",)
    warmup: bool = True
    warmup_iterations: int = 1
    labels_ahead: bool = False
    check_methods: bool = False
    must_start: bool = False


@dataclass(frozen=True)
class Session:
    """TensorFlow's runtime.

    Attributes:
        intra_threads: Threads within an operation; 0 for TensorFlow's choice.
        inter_threads: Operations at a time; 0 for TensorFlow's choice.
        config_file: A `tensorflow.ConfigProto` in text form, in place of the two.
        gpu_memory_fraction: Share of each GPU's memory to take; 0 to take what is needed as it is needed.
    """

    intra_threads: int = 0
    inter_threads: int = 0
    config_file: Path | None = None
    gpu_memory_fraction: float = 0.0


@dataclass(frozen=True)
class Batching:
    """TensorFlow Serving's batching parameters (session_bundle_config.proto, `BatchingParameters`).

    Attributes:
        max_batch_size: Rows of one run.
        timeout_micros: How long a batch waits to be filled.
        max_enqueued_batches: Batches that may wait; a request beyond them is UNAVAILABLE.
        threads: Runs at a time; 0 for one per processor.
        allowed_batch_sizes: Sizes that batches are padded to, ascending; empty for any size.
        pad_variable_length_inputs: Whether unequal inner shapes are padded to the largest.
        split_large_batches: Whether a request larger than a batch is spread over several.
        max_execution_batch_size: Rows of one run when large ones are split; 0 for `max_batch_size`.
    """

    max_batch_size: int = 1000
    timeout_micros: int = 0
    max_enqueued_batches: int = 10
    threads: int = 0
    allowed_batch_sizes: tuple[int, ...] = ()
    pad_variable_length_inputs: bool = False
    split_large_batches: bool = False
    max_execution_batch_size: int = 0


@dataclass(frozen=True)
class Limits:
    """What one server takes at most; beyond it REST answers 413 or 429 and gRPC RESOURCE_EXHAUSTED.

    Worker processes divide requests at a time and memory among them.

    Attributes:
        request_bytes: Size of a request; None for no limit but gRPC's own of 2 GiB. Its JSON may unpack to four times
            as much.
        concurrent: Requests at a time; None for no limit.
        memory_bytes: Sum of the requests being answered, and of what their JSON, compression and images unpack to; None
            for half of the machine's memory.
    """

    request_bytes: int | None = 128 * 2**20
    concurrent: int | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True)
class Generation:
    """How text is generated.

    Attributes:
        waiting: Answers that may wait for a place, of each version; beyond them REST answers 429.
        timeout_s: How long an answer may take, in seconds; `rest_timeout_seconds` is for all other requests.
    """

    waiting: int = 1024
    timeout_s: float = 600.0


@dataclass(frozen=True)
class Security:
    """Access to the server: token and TLS.

    Attributes:
        token: Bearer token that every request must carry; empty for none.
        certificate: PEM file with the server's certificate chain, for TLS on both transports.
        key: PEM file with its private key.
        client_ca: PEM file with the authorities of client certificates, which are then required.
        grpc_ssl_config_file: TensorFlow Serving's `SSLConfig` in text form; TLS on gRPC only.
        insecure: Whether to listen beyond loopback without a token.
        control_token: Bearer token of calls that change what is served, in place of `token`; empty for none.
        control_open: Whether such calls are answered without a token of their own.
    """

    token: str = field(default="", repr=False)
    certificate: Path | None = None
    key: Path | None = None
    client_ca: Path | None = None
    grpc_ssl_config_file: Path | None = None
    insecure: bool = False
    control_token: str = field(default="", repr=False)
    control_open: bool = False


@dataclass(frozen=True)
class RequestLog:
    """A sample of the traffic, kept as TFRecords of `tensorflow.serving.PredictionLog`.

    Attributes:
        folder: Where the files go, `MODEL/TIME.tfrecord`.
        rate: Share of the requests that is logged, 0 to 1.
        file_bytes: Size at which a new file is begun.
        total_bytes: Size of all files beyond which the oldest are deleted.
    """

    folder: Path
    rate: float = 0.01
    file_bytes: int = 64 * 2**20
    total_bytes: int = 2**30


@dataclass(frozen=True)
class ServeOptions:
    """What to serve, where, and how.

    Attributes:
        base_path: Folder that holds `NAME/VERSION/saved_model.pb`; the models when there is no other source.
        names: Models of that folder to serve; empty for all, listed again at every poll.
        model: Name and folder of one model, in place of `base_path`.
        model_config_file: A `ModelServerConfig` in text form, in place of both.
        source: Lists the models, called again at every poll, in place of all three; labels follow their versions then.
            To be sent to worker processes, it must be picklable.
        host: Address to listen at; beyond loopback needs a token, or `Security.insecure`.
        rest_port: Port of the REST API; 0 for any free one, None for no REST.
        grpc_port: Port of the gRPC API; 0 for any free one, None for none.
        grpc_socket: Path of a UNIX socket for gRPC, in addition to the port.
        grpc_arguments: Channel arguments of the gRPC server.
        rest_timeout_seconds: How long a REST request may take.
        threads: Threads that answer requests too large for the event loop; 0 for four per processor.
        cors: Whether to accept requests from browsers of other origins (CORS).
        health_service: Whether gRPC's health service is served.
        monitoring_path: Path of Prometheus' metrics on the REST port; None for none.
        half_in_json: Whether half and bfloat16 travel as JSON numbers over REST; tensorflow/serving refuses them.
        tensor_content: Whether gRPC answers carry tensors as `tensor_content`.
        batching: None to merge concurrent requests where that is faster, False never to, else by parameters.
        per_model_batching: Whether a version's `batching_params.pbtxt` takes the place of `batching`.
        workers: Server processes that share the ports.
        drain_seconds: How long requests in flight may take after SIGTERM.
        canary: Shares of models' requests that their challengers answer; 0 to 1 by model.
        canary_report: Folder in which each process leaves at its end what both sides answered.
        notice: Told what whoever started the server should know at once: that a worker has died.
    """

    base_path: Path | None = None
    names: tuple[str, ...] = ()
    model: tuple[str, Path] | None = None
    model_config_file: Path | None = None
    source: Callable[[], list[ModelConfig]] | None = None
    host: str = "127.0.0.1"
    rest_port: int | None = 8501
    grpc_port: int | None = 8500
    grpc_socket: Path | None = None
    grpc_arguments: tuple[tuple[str, int | str], ...] = ()
    rest_timeout_seconds: float = 30.0
    threads: int = 0
    cors: bool = False
    health_service: bool = False
    monitoring_path: str | None = "/monitoring/prometheus/metrics"
    half_in_json: bool = False
    tensor_content: bool = False
    batching: Batching | bool | None = None
    per_model_batching: bool = False
    workers: int = 1
    drain_seconds: float = 30.0
    loading: Loading = Loading()
    session: Session = Session()
    limits: Limits = Limits()
    generation: Generation = Generation()
    security: Security = Security()
    request_log: RequestLog | None = None
    canary: Mapping[str, float] = field(default_factory=dict)
    canary_report: Path | None = None
    notice: Callable[[str], None] | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class ModelConfig:
    """One model to serve.

    Attributes:
        name: What clients call it.
        base_path: Folder with one numbered folder per version.
        latest: How many of the highest versions to serve; 0 for all.
        specific: Versions to serve instead; empty for none.
        labels: Versions by label.
        logging: The `tensorflow.serving.LoggingConfig` of its requests.
        optional: Whether a folder that is missing only means no versions; else it fails the whole look.
    """

    name: str
    base_path: Path
    latest: int = 1
    specific: tuple[int, ...] | None = None
    labels: dict[str, int] = field(default_factory=dict)
    logging: Any | None = None
    optional: bool = False

    def select(self, versions: Iterable[int]) -> list[int]:
        """Those of the versions on disk that are to be served, highest first."""
        ordered = sorted(versions, reverse=True)
        if self.specific is not None:
            chosen = frozenset(self.specific)
            return [version for version in ordered if version in chosen]
        return ordered[: self.latest] if self.latest else ordered

    @property
    def wants_any(self) -> bool:
        """Whether there can be a version that is served: an empty list of specific ones serves none."""
        return self.specific is None or bool(self.specific)
