"""Prints what an item costs in RxPY, in ns, for operators and subscribers: one line a shape."""

import sys
import time

from rx import operators as ops
from rx.subject import Subject


def measure(operators, subscribers, n=20000):
    subject = Subject()
    handled = [0]

    def handle(v):
        handled[0] += v

    for _ in range(subscribers):
        chain = [ops.map(lambda v: v) if i % 2 == 0 else ops.filter(lambda v: v >= 0) for i in range(operators)]
        subject.pipe(*chain).subscribe(handle)
    start = time.perf_counter_ns()
    for _ in range(n):
        subject.on_next(1)
    took = time.perf_counter_ns() - start
    subject.on_completed()
    assert handled[0] == n * subscribers
    return took // n


for shape in sys.argv[1:]:
    k, s = map(int, shape.split(","))
    print(k, s, measure(k, s))
