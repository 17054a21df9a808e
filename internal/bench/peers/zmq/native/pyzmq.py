"""One end of a measurement, on pyzmq: see doc.go of the command for the roles and what they print."""
import resource
import struct
import sys
import time

import zmq

role = sys.argv[1]
options = dict(a.split("=", 1) for a in sys.argv[2:])
MESSAGE, LAST = 0, 1
context = zmq.Context()


def cpu():
    u = resource.getrusage(resource.RUSAGE_SELF)
    return int((u.ru_utime + u.ru_stime) * 1e6)


def say(line):
    print(line, flush=True)


def wait_for_the_end():
    sys.stdin.read()
    sys.exit()


def socket(kind):
    s = context.socket(kind)
    s.sndhwm = s.rcvhwm = int(options.get("hwm", 10000))
    s.linger = 0
    if kind == zmq.ROUTER:
        s.setsockopt(zmq.ROUTER_MANDATORY, 1)
    return s


def open_end(router):
    if router:
        s = socket(zmq.ROUTER)
        port = s.bind_to_random_port("tcp://127.0.0.1")
        say(f"endpoint tcp://127.0.0.1:{port}")
        return s
    s = socket(zmq.DEALER)
    s.routing_id = b"d"
    s.connect(options["endpoint"])
    s.send(b"hi")
    return s


def send_role():
    router, frames, size = options["type"] == "router", int(options["frames"]), int(options["size"])
    s = open_end(router)
    s.recv_multipart()
    before = [b"d"] * router + [b"0123456789abcdef"] * (frames - 1)
    head, tail = b"\0" * 8, b"\0" * (size - 17)
    pack, clock, send, send_multipart = struct.Struct("<QB").pack, time.monotonic, s.send, s.send_multipart
    c, n, last, end = cpu(), 0, False, clock() + int(options["ms"]) / 1000
    while not last:
        last = n % 64 == 0 and clock() > end
        body = head + pack(n, LAST if last else MESSAGE) + tail
        if before:
            send_multipart(before + [body])
        else:
            send(body)
        n += 1
    s.recv_multipart()
    say(f"result cpu={cpu() - c}")
    wait_for_the_end()


def receive_role():
    router = options["type"] == "router"
    to = [b"d"] * router
    s = open_end(router)
    if router:
        s.recv_multipart()
        s.send_multipart(to + [b"go"])
    unpack, receive = struct.Struct("<QB").unpack_from, s.recv_multipart
    n, kind, began, c = 0, MESSAGE, 0, 0
    while kind != LAST:
        body = receive()[-1]
        if n == 0:
            began, c = time.monotonic_ns(), cpu()
        seq, kind = unpack(body, 8)
        if seq != n:
            say(f"void message {seq} where {n} was due")
            wait_for_the_end()
        n += 1
    took = time.monotonic_ns() - began
    s.send_multipart(to + [b"ok"])
    say(f"result messages={n} ns={took} cpu={cpu() - c}")
    wait_for_the_end()


def echo_role():
    s = open_end(True)
    while True:
        s.send_multipart(s.recv_multipart())


def ask_role():
    size, rounds = int(options["size"]), int(options["n"])
    s = socket(zmq.DEALER)
    s.connect(options["endpoint"])
    took, c = [], 0
    for i in range(-rounds // 10, rounds):
        if i == 0:
            c = cpu()
        body = struct.pack("<qqB", 0, i, MESSAGE) + bytes(size - 17)
        began = time.monotonic_ns()
        s.send(body)
        back = s.recv()
        t = time.monotonic_ns() - began
        if back != body:
            say("void another message came back")
            wait_for_the_end()
        if i >= 0:
            took.append(t)
    c = cpu() - c
    took.sort()
    say(f"result messages={rounds} cpu={c} p50={took[rounds // 2]} p99={took[rounds * 99 // 100]}")
    wait_for_the_end()


def version_role():
    print("pyzmq", zmq.__version__, "on libzmq", zmq.zmq_version(), "Python", sys.version.split()[0])


globals()[role + "_role"]()
