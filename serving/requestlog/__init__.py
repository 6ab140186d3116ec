"""A sample of the traffic on disk, to see later whether it drifts from what a model was trained on."""

from serving.core.work import Answered
from serving.requestlog.log import RequestLog, from_config
from serving.requestlog.prediction import read

__all__ = ["Answered", "RequestLog", "from_config", "read"]
