"""What is wrong with this machine, and what to type against it.

    keraspipe doctor

Each check is a pure function from plain values to a `Finding`; `examine` reads the values off the machine.
Answers in well under a second: nothing heavy is imported, versions are read off the names of folders.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import sys
import sysconfig
import tempfile
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.machine import GIB, cuda_packages, compose_version, driver, listeners, memory_bytes
from pipeline.settings import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pipeline.settings import Settings
