"""Load tests: send requests to a model server and measure latencies.

Two ways to send. *Open loop*: requests are due at the times of a rate, whatever the server does, and latency counts
from the time a request was due. *Closed loop*: a number of clients each send the next request when the last one is
answered, and latency counts from the sending.

Only the open loop says what users would see. A closed loop stops sending while the server stalls, so that one stall is
one slow request, however many would have come meanwhile: coordinated omission (Gil Tene, "How NOT to Measure Latency",
2015; the open loop is that of his wrk2, https://github.com/giltene/wrk2). Percentiles of a closed loop are not
corrected afterwards: the correction needs the interval between requests, which a closed loop does not have.

    target = target_for_model("digits", url="http://127.0.0.1:8501")
    result = run(target, Load(rate=500, duration_s=10))
    result.percentile(99)
"""

from serving.loadtest.generator import run
from serving.loadtest.request import target_for_model
from serving.loadtest.result import Result
from serving.loadtest.target import Load, Target

__all__ = ["Load", "Result", "Target", "run", "target_for_model"]
