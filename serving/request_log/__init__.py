"""A sample of the traffic on disk, to see later whether it drifts from what a model was trained on."""

from serving.core.work import LogMetadata
from serving.request_log.log import RequestLog, from_config
from serving.request_log.records import read_logs

__all__ = ["LogMetadata", "RequestLog", "from_config", "read_logs"]
