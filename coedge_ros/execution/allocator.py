"""What a process keeps: freed memory, so that a frame's maps cost no page faults, and not too many compiled kernels."""

from __future__ import annotations

import ctypes
import gc
import os

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3  # of glibc's malloc.h


def keep_freed_memory() -> bool:
    """Tell glibc to serve maps of up to 1 GB from memory that it keeps; False where there is no glibc.

    By default each map of more than 128 KiB may be taken from the kernel and given back every time: MobileNetV2 at
    480x640 then took 96 ms instead of 58. The price is that a process keeps what it once needed, so this is called when
    the model is loaded: what loading needed goes back first, with the second copy of the weights that tracing leaves in
    cycles.
    """
    gc.collect()
    if not give_back_freed_memory():
        return False
    mallopt = ctypes.CDLL(None).mallopt
    settings = ((_M_MMAP_THRESHOLD, 1 << 30), (_M_TRIM_THRESHOLD, (1 << 31) - 1), (_M_TOP_PAD, 1 << 24))
    return all(mallopt(option, value) == 1 for option, value in settings)


def give_back_freed_memory() -> bool:
    """Give what is free now back to the kernel, once: what an old plan needed, and holes between; False without glibc.

    Threads that allocate meanwhile wait for some milliseconds.
    """
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError):
        return False
    trim(ctypes.c_size_t(0))
    return True


def limit_kept_kernels(operators: int) -> None:
    """Let oneDNN keep the compiled kernels of two plans, unless the environment says how many; before the first runs.

    It compiles one for each shape and keeps 1024 of them. Each plan brings shapes of its own, so a worker grew by
    1.6 MB with every new plan of MobileNetV2.

    Parameters
    ----------
    operators : int
        Of the model; a plan needs about one kernel for each.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(2 * operators))
