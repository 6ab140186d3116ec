"""The flags of a server, in the order of the help: our own, then those of tensorflow_model_server."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

Value = bool | int | float | str
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
_INTEGER = re.compile(r"[+-]?[0-9]+")
_PORT = 65535
_INT32 = 2**31 - 1
_NO_LITE = "TensorFlow Lite models are not served; the SavedModel is"
_NO_XLA = "TensorFlow's own setting decides: TF_XLA_FLAGS=--tf_xla_auto_jit=2"


class FlagError(Exception):
    """The command line cannot be used.

    Args:
        what: What is wrong, one sentence.
        expected: What would have been right.
        received: The value that was given.
        action: What to do next.
    """

    def __init__(self, what: str, *, expected: str = "", received: str | None = None, action: str = "") -> None:
        lines = [what]
        if expected:
            lines.append(f"Expected: {expected}")
        if received is not None:
            lines.append(f"Received: {received}")
        if action:
            lines.append(f"Next: {action}")
        super().__init__("\n".join(lines))


@dataclass(frozen=True)
class Flag:
    """A flag of the command line; its type is that of its default.

    Attributes:
        name: Name, words joined by `_` where upstream has it, else by `-`; both are read.
        default: Value when it is not given.
        words: What it does, in one line.
        default_text: The default as text, where the value alone does not explain it.
        takes: Name of the value in the help.
        least: Smallest number.
        most: Largest number.
        unsupported: What this server does instead, where another value than the default cannot be honoured.
        repeats: Whether all values count of a text that is given several times, joined by commas; else the last does.
    """

    name: str
    default: Value
    words: str
    default_text: str = ""
    takes: str = ""
    least: float | None = None
    most: float | None = None
    unsupported: str = ""
    repeats: bool = False

    @property
    def key(self) -> str:
        """The name that all spellings share."""
        return self.name.replace("-", "_")

    @property
    def is_switch(self) -> bool:
        """Whether the flag alone means true."""
        return isinstance(self.default, bool)

    @property
    def help(self) -> str:
        """What it does, and its default unless that is nothing, for argparse."""
        default = self.default_text
        if not default and (isinstance(self.default, float) or self.default not in ("", False)):
            default = f"{self.default:g}" if isinstance(self.default, float) else str(self.default).lower()
        return (self.words + (f" (default: {default})" if default else "")).replace("%", "%%")

    def read(self, text: str) -> Value:
        """Parses the text of a value.

        Raises:
            FlagError: It is none of this flag's values.
        """
        value = self._parse(text)
        if value is None or (not isinstance(value, str) and not self._is_within(value)):
            raise FlagError(f"--{self.name} cannot be read.", expected=self.describe_values(), received=repr(text))
        return value

    def _parse(self, text: str) -> Value | None:
        if isinstance(self.default, bool):
            return _BOOLEANS.get(text.lower())
        if isinstance(self.default, int):
            return int(text) if _INTEGER.fullmatch(text) else None
        if isinstance(self.default, float):
            return _number(text)
        return text

    def _is_within(self, value: float) -> bool:
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)

    def describe_values(self) -> str:
        """The values of this flag in words."""
        if self.is_switch:
            return "true, false, 1 or 0"
        kind = "a whole number" if isinstance(self.default, int) else "a number"
        if self.least is not None and self.most is not None:
            return f"{kind} from {self.least:g} to {self.most:g}"
        return kind if self.least is None else f"{kind} of at least {self.least:g}"


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


OWN_FLAGS = (
    Flag("host", "127.0.0.1", "address; beyond this machine it needs a token", takes="ADDRESS"),
    Flag("rest-port", 8501, "port of REST; 0 for any free one", takes="PORT", least=0, most=_PORT),
    Flag("grpc-port", 8500, "port of gRPC; 0 for any free one", takes="PORT", least=0, most=_PORT),
    Flag("token-file", "", "file with the bearer token that every request must carry", takes="FILE"),
    Flag("control-token-file", "", "file with the token of calls that change what is served", takes="FILE"),
    Flag("tls-certificate", "", "certificate chain for TLS on both ports, PEM", takes="FILE"),
    Flag("tls-key", "", "its private key, PEM", takes="FILE"),
    Flag("tls-client-ca", "", "authorities of client certificates, which are then required, PEM", takes="FILE"),
    Flag("insecure", False, "listen beyond this machine without a token"),
    Flag("workers", 1, "server processes that share the ports", takes="N", least=1, most=1024),
    Flag("threads", 0, "threads for long requests", "four per processor", "N", least=0, most=_INT32),
    Flag("half-in-json", False, "take half and bfloat16 over REST, which tensorflow/serving refuses"),
    Flag("no-adaptive-batching", False, "do not merge concurrent requests automatically"),
    Flag("max-request-mb", 128.0, "largest request; 0 for no limit", takes="MB", least=0),
    Flag("max-concurrent-requests", 0, "requests at a time", "no limit", "N", least=0, most=_INT32),
    Flag("max-memory-mb", 0.0, "sum of the requests being answered, unpacked", "half of the memory", "MB", least=0),
    Flag("max-waiting-answers", 1024, "texts that may wait to be generated", takes="N", least=0, most=_INT32),
    Flag("answer-timeout", 600.0, "how long a generated text may take; 0 for ever", takes="SECONDS", least=0),
    Flag("request-log", "", "folder for a sample of the traffic, as TFRecords of PredictionLog", takes="DIR"),
    Flag("request-log-rate", 0.01, "share of the requests that is logged", takes="SHARE", least=0, most=1),
    Flag("request-log-file-mb", 64.0, "size at which a new file starts", takes="MB", least=0.001),
    Flag(
        "request-log-total-mb",
        1024.0,
        "total size of all files; above it the oldest are deleted",
        takes="MB",
        least=0.001,
    ),
    Flag("drain-seconds", 30.0, "how long requests in flight may take after SIGTERM", takes="SECONDS", least=0),
    Flag("help", False, "print this help and exit"),
)
TF_SERVING_FLAGS = (
    Flag("port", 8500, "port of gRPC; 0 for none", takes="PORT", least=0, most=_PORT),
    Flag("grpc_socket_path", "", "UNIX socket for gRPC, in addition to the port", takes="PATH"),
    Flag("rest_api_port", 0, "port of REST; 0 for none", takes="PORT", least=0, most=_PORT),
    Flag("rest_api_num_threads", 0, "as --threads", "four per processor", "N", least=0, most=_INT32),
    Flag(
        "rest_api_timeout_in_ms",
        30000,
        "how long a REST request may take; 0 for ever",
        takes="MS",
        least=0,
        most=_INT32,
    ),
    Flag("rest_api_enable_cors_support", False, "allow requests from browsers of other origins (CORS)"),
    Flag("enable_batching", False, "batch by parameters; =false never to", "merge where faster"),
    Flag("batching_parameters_file", "", "BatchingParameters as text, with --enable_batching", takes="FILE"),
    Flag("enable_per_model_batching_parameters", False, "a version's batching_params.pbtxt comes first"),
    Flag("allow_version_labels_for_unavailable_models", False, "a new label may name a version not served yet"),
    Flag("model_config_file", "", "ModelServerConfig as text; takes the place of name and path", takes="FILE"),
    Flag("model_config_file_poll_wait_seconds", 0, "pause between two readings of it; 0 to read once", takes="SECONDS"),
    Flag("model_name", "default", "what clients call the model", takes="NAME"),
    Flag("model_base_path", "", "folder with one numbered folder per version", takes="DIR"),
    Flag("num_load_threads", 0, "versions loaded at a time; 0 for one", takes="N", least=0, most=_INT32),
    Flag("num_unload_threads", 0, "versions unloaded at a time; 0 for one", takes="N", least=0, most=_INT32),
    Flag("max_num_load_retries", 5, "how often a failed load is tried again", takes="N", least=0, most=_INT32),
    Flag("load_retry_interval_micros", 60_000_000, "pause before each try", takes="MICROS"),
    Flag("file_system_poll_wait_seconds", 1, "seconds between checks for versions; 0 checks once", takes="SECONDS"),
    Flag("flush_filesystem_caches", True, "accepted; the system keeps its caches"),
    Flag("tensorflow_session_parallelism", 0, "threads of a session", "TensorFlow's choice", "N", least=0, most=_INT32),
    Flag(
        "tensorflow_intra_op_parallelism",
        0,
        "threads in an operation",
        "TensorFlow's choice",
        "N",
        least=0,
        most=_INT32,
    ),
    Flag(
        "tensorflow_inter_op_parallelism",
        0,
        "operations at a time",
        "TensorFlow's choice",
        "N",
        least=0,
        most=_INT32,
    ),
    Flag("tensorflow_session_config_file", "", "tensorflow.ConfigProto as text", takes="FILE"),
    Flag("use_alts_credentials", False, "refused: there is no ALTS here"),
    Flag("ssl_config_file", "", "SSLConfig as text: TLS on gRPC only", takes="FILE"),
    Flag("platform_config_file", "", "not supported", takes="FILE", unsupported="the TensorFlow platform is served"),
    Flag("per_process_gpu_memory_fraction", 0.0, "share of each GPU; 0 as needed", takes="SHARE", least=0, most=1),
    Flag("saved_model_tags", "serve", "tags of the graph in a SavedModel", takes="TAG,TAG"),
    Flag("grpc_channel_arguments", "", "arguments of the gRPC server", takes="KEY=VALUE,KEY=VALUE"),
    Flag("grpc_max_threads", 0, "accepted; gRPC runs in an event loop", takes="N", least=0, most=_INT32),
    Flag("enable_model_warmup", True, "run a version's own warm-up requests before it serves"),
    Flag("num_request_iterations_for_warmup", 0, "how often each of them; 0 for once", takes="N", most=_INT32),
    Flag("version", False, "print the version and exit"),
    Flag("monitoring_config_file", "", "MonitoringConfig as text: Prometheus on the REST port", takes="FILE"),
    Flag("remove_unused_fields_from_bundle_metagraph", True, "accepted; answers do not depend on it"),
    Flag("prefer_tflite_model", False, "not supported", unsupported=_NO_LITE),
    Flag("num_tflite_pools", 0, "accepted; there is no TensorFlow Lite", takes="N"),
    Flag("num_tflite_interpreters_per_pool", 1, "accepted; there is no TensorFlow Lite", takes="N"),
    Flag("enable_signature_method_name_check", False, "classify and regress need the signature's method name to fit"),
    Flag("xla_cpu_compilation_enabled", False, "not supported", unsupported=_NO_XLA),
    Flag("xla_gpu_compilation_enabled", False, "not supported", unsupported=_NO_XLA),
    Flag("enable_profiler", True, "accepted; there is no profiler service"),
    Flag(
        "thread_pool_factory_config_file",
        "",
        "not supported",
        takes="FILE",
        unsupported="TensorFlow's threads are used",
    ),
    Flag(
        "mixed_precision", "", "not supported", takes="TYPE", unsupported="a graph runs in the types it was saved with"
    ),
    Flag("skip_initialize_tpu", False, "accepted; there is no TPU"),
    Flag("enable_grpc_healthcheck_service", False, "serve gRPC's health service"),
    Flag("enable_serialization_as_tensor_content", False, "gRPC answers carry tensor_content"),
)
FLAGS_BY_KEY = {flag.key: flag for flag in (*OWN_FLAGS, *TF_SERVING_FLAGS)}
