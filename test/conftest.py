"""Makes the helpers of the tests importable: `support` and `architectures` beside this file."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
