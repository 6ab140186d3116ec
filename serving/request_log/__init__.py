"""Log a sample of the traffic, to detect drift from a model's training data later."""

from serving.core.work import LogMetadata
from serving.request_log.log import RequestLog, from_config
from serving.request_log.records import read_logs

__all__ = ["LogMetadata", "RequestLog", "from_config", "read_logs"]
