"""Makes the helpers of the tests importable: `support` and `architectures` beside this file."""

import atexit
import logging
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

logging.getLogger("torch.__trace").propagate = False  # thousands of records for each model, which pytest would keep
sys.path.insert(0, str(Path(__file__).parent))
# A shell without job control starts background jobs with SIGINT ignored, which all that they start inherit: processes
# that tests interrupt would go on for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ["COEDGE_CACHE_DIR"] = tempfile.mkdtemp(
    prefix="coedge_cache_"
)  # nothing of this machine's, nothing left on it
atexit.register(shutil.rmtree, os.environ["COEDGE_CACHE_DIR"], ignore_errors=True)
