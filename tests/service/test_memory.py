from __future__ import annotations

import ctypes
import gc
import subprocess
import sys

import pytest

from service.memory import loading

# Eight threads that allocate at one time; then glibc lists its heaps.
COUNT = """
import ctypes, sys, threading
from service.memory import share_one_heap
if sys.argv[1] == "shared":
    share_one_heap()
libc, together = ctypes.CDLL(None), threading.Barrier(8)
libc.fopen.restype = ctypes.c_void_p
def allocate():
    together.wait()
    libc.malloc(100_000)
    together.wait()
threads = [threading.Thread(target=allocate) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
out = ctypes.c_void_p(libc.fopen(b"/dev/stdout", b"w"))
libc.malloc_info(0, out)
libc.fclose(out)
"""


def heaps(how: str) -> int:
    """How many heaps glibc has made."""
    done = subprocess.run(
        [sys.executable, "-c", COUNT, how], capture_output=True, check=True, text=True
    )
    return done.stdout.count("<heap nr=")


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_info"), reason="needs glibc")
def test_the_threads_of_a_server_share_one_heap() -> None:
    assert heaps("own") > 1
    assert heaps("shared") == 1


def test_garbage_is_looked_for_again_once_loaded_and_after_a_failure() -> None:
    with loading() as loaded:
        assert not gc.isenabled()
        loaded()
        assert gc.isenabled()
    with pytest.raises(ValueError, match="no port"), loading():
        raise ValueError("no port")
    assert gc.isenabled()
    gc.unfreeze()
