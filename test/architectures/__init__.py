"""Architectures beyond the zoo, for operators that no model of the zoo uses: see `table`."""
