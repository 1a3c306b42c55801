"""Work that threads do before its results are needed."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


def in_order(
    function: Callable[[ItemT], ResultT], items: Iterable[ItemT], threads: int, ahead: int
) -> Iterator[ResultT]:
    """Compute a function of each item in threads, and yield the results in the order of the items.

    Decoding, encoding and the network's computations release the GIL, so that threads are enough to overlap them.

    Args:
        function: What is computed; called by several threads at once.
        items: Its arguments, taken by the thread that asks for results.
        threads: Number of threads.
        ahead: Maximum number of items that are taken before their results are asked for, which bounds the memory.

    Yields:
        The results.

    Example:
        >>> list(in_order(abs, [-3, -1, -2], threads=2, ahead=2))
        [3, 1, 2]
    """
    pool = ThreadPoolExecutor(threads)
    waiting: deque[Future[ResultT]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
