"""Makes the helpers of the tests importable: `support` and `architectures` beside this file."""

import atexit
import logging
import os
import shutil
import sys
import tempfile
from pathlib import Path

logging.getLogger("torch.__trace").propagate = False  # thousands of records for each model, which pytest would keep
sys.path.insert(0, str(Path(__file__).parent))
os.environ["COEDGE_CACHE_DIR"] = tempfile.mkdtemp(
    prefix="coedge_cache_"
)  # nothing of this machine's, nothing left on it
atexit.register(shutil.rmtree, os.environ["COEDGE_CACHE_DIR"], ignore_errors=True)
