"""A libzmq peer for the tests: peer.py MODE ENDPOINT [ARG...]. It prints what happened, a line each."""
import os
import sys

import zmq

mode, endpoint, args = sys.argv[1], sys.argv[2], sys.argv[3:]
context = zmq.Context()


def say(*words):
    print(*words, flush=True)


def connect(kind, identity=b"", **options):
    s = context.socket(kind)
    s.linger = 0
    s.rcvtimeo = s.sndtimeo = 20000
    if identity:
        s.identity = identity
    for name, value in options.items():
        s.setsockopt(getattr(zmq, name), value)
    s.connect(endpoint)
    return s


def roundtrip(kind, identity):
    s = connect(kind, identity)
    limit = int(args[1])
    cases = [[b"x" * n] for n in (0, 1, 254, 255, 256, 257, 4095, 8191, 8192, 65535, 65536, 65537, limit)]
    cases += [[b"a", b"b"], [b"a", b"", b"c"], [b"", b"", b"", b""], [os.urandom(300000), b"", os.urandom(70000)]]
    for frames in cases:
        s.send_multipart(frames)
        got = s.recv_multipart()
        if got != frames:
            say("FAIL", [len(f) for f in frames], [len(f) for f in got])
            return
    if kind == zmq.DEALER:  # pipelined, of mixed sizes
        sent = [[b"%d" % i, b"y" * (i * 37 % 3000)] for i in range(3000)]
        at = 0
        for i, frames in enumerate(sent):
            s.send_multipart(frames)
            if i >= 100:
                assert s.recv_multipart() == sent[at], at
                at += 1
        while at < len(sent):
            assert s.recv_multipart() == sent[at], at
            at += 1
    say("OK")


if mode == "dealer":
    roundtrip(zmq.DEALER, bytes.fromhex(args[0]))
elif mode == "req":
    roundtrip(zmq.REQ, bytes.fromhex(args[0]))
elif mode == "hold":  # says hello, then echoes what it gets
    s = connect(zmq.DEALER, args[0].encode(), RECONNECT_IVL=50)
    s.rcvtimeo = -1
    s.send(b"hello")
    while True:
        got = s.recv_multipart()
        say("GOT", *[f.decode() for f in got])
        s.send_multipart(got)
elif mode == "router":  # echoes; binds ENDPOINT
    s = context.socket(zmq.ROUTER)
    s.linger = 0
    s.bind(endpoint)
    say(s.getsockopt(zmq.LAST_ENDPOINT).rstrip(b"\0").decode())
    while True:
        s.send_multipart(s.recv_multipart())
