"""Prints what an item costs in RxPY, in ns of wall and of CPU, for operators and subscribers: one line a shape."""

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
    start, used = time.perf_counter_ns(), time.process_time_ns()
    for _ in range(n):
        subject.on_next(1)
    wall, cpu = time.perf_counter_ns() - start, time.process_time_ns() - used
    subject.on_completed()
    assert handled[0] == n * subscribers
    return wall // n, cpu // n


for shape in sys.argv[1:]:
    k, s = map(int, shape.split(","))
    print(k, s, *measure(k, s))
