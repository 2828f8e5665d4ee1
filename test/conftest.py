"""Makes the helpers of the tests importable: `support` and `architectures` beside this file."""

import logging
import sys
from pathlib import Path

logging.getLogger("torch.__trace").propagate = False  # thousands of records for each model, which pytest would keep
sys.path.insert(0, str(Path(__file__).parent))
