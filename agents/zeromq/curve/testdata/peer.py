"""A libzmq peer for the tests: peer.py MODE [ARG...]. It prints what happened, a line each."""
import os
import sys
import time

import zmq
import zmq.auth
from zmq.utils.monitor import recv_monitor_message

mode, args = sys.argv[1], sys.argv[2:]
context = zmq.Context()


def say(*words):
    print(*words, flush=True)


def dealer(endpoint, server="", public="", secret="", **options):
    s = context.socket(zmq.DEALER)
    s.linger = 0
    s.rcvtimeo = s.sndtimeo = 20000
    s.identity = b"py"
    if server:
        s.curve_serverkey, s.curve_publickey, s.curve_secretkey = server.encode(), public.encode(), secret.encode()
    for name, value in options.items():
        s.setsockopt(getattr(zmq, name), value)
    monitor = s.get_monitor_socket()
    s.connect(endpoint)
    return s, monitor


def messages():
    cases = [[b"x" * n] for n in (0, 1, 30, 31, 32, 33, 190, 191, 192, 221, 222, 223, 224, 225, 255, 256, 257, 479, 480, 4096, 65503, 65536)]
    cases += [[os.urandom(n)] for n in (70000, 1 << 20, 16 << 20)]
    return cases + [[b"a", b"b"], [b"a", b"", b"c"], [b""] * 4, [os.urandom(300000), b"", os.urandom(70000)]]


if mode == "dealer":  # sends, and expects the same back
    s, _ = dealer(*args)
    for frames in messages():
        s.send_multipart(frames)
        if s.recv_multipart() != frames:
            say("FAIL", [len(f) for f in frames])
            sys.exit()
    for i in range(5000):
        s.send_multipart([b"%d" % i, b"y" * (i * 37 % 3000)])
        if i >= 100:
            assert s.recv_multipart()[0] == b"%d" % (i - 100)
    say("OK")
elif mode == "router":  # a server that echoes; trusts the keys of a directory
    if args[2:]:
        from zmq.auth.thread import ThreadAuthenticator

        auth = ThreadAuthenticator(context)
        auth.start()
        auth.configure_curve(domain="*", location=args[2])
    s = context.socket(zmq.ROUTER)
    s.linger = 0
    s.curve_server = True
    s.curve_publickey, s.curve_secretkey = args[0].encode(), args[1].encode()
    s.setsockopt(zmq.HEARTBEAT_IVL, 100)
    s.setsockopt(zmq.HEARTBEAT_TIMEOUT, 10000)
    say(s.bind_to_random_port("tcp://127.0.0.1"))
    while True:
        s.send_multipart(s.recv_multipart())
elif mode == "heartbeat":  # silence, but PINGs are answered
    s, monitor = dealer(*args, HEARTBEAT_IVL=100, HEARTBEAT_TIMEOUT=400)
    s.send(b"first")
    assert s.recv() == b"first"
    end = time.time() + 1.5
    while time.time() < end:
        if monitor.poll(100):
            event = recv_monitor_message(monitor)
            if event["event"] == zmq.EVENT_DISCONNECTED:
                say("FAIL disconnected")
                sys.exit()
    s.send(b"last")
    assert s.recv() == b"last"
    say("OK")
elif mode == "monitor":  # says how the first handshake ends
    s, monitor = dealer(*args)
    names = {
        zmq.EVENT_HANDSHAKE_SUCCEEDED: "SUCCEEDED",
        zmq.EVENT_HANDSHAKE_FAILED_AUTH: "AUTH",
        zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL: "PROTOCOL",
        zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL: "NO_DETAIL",
    }
    while monitor.poll(20000):
        event = recv_monitor_message(monitor)
        if event["event"] in names:
            say(names[event["event"]], event["value"])
            break
elif mode == "create":  # certificates
    zmq.auth.create_certificates(args[0], args[1], {"email": "a@b", "note": 'he said "hi"'})
    say("OK")
elif mode == "load":
    public, secret = zmq.auth.load_certificate(args[0])
    say(public.decode(), (secret or b"-").decode())
elif mode == "send":  # COUNT messages of SIZE bytes, as fast as it can; then waits to be told
    count, size = int(args[0]), int(args[1])
    s, _ = dealer(*args[2:], SNDHWM=0)
    body = b"x" * size
    for _ in range(count):
        s.send(body, copy=size < 1024)
    s.recv()
elif mode == "receive":  # the libzmq receiver: how long COUNT messages took
    count = int(args[0])
    s = context.socket(zmq.ROUTER)
    s.linger = 0
    s.rcvhwm = 0
    s.curve_server = True
    s.curve_publickey, s.curve_secretkey = args[1].encode(), args[2].encode()
    say(s.bind_to_random_port("tcp://127.0.0.1"))
    peer, _ = s.recv_multipart()
    began = time.perf_counter()
    for _ in range(count - 1):
        s.recv_multipart()
    say(time.perf_counter() - began)
    s.send_multipart([peer, b""])
    s.recv()
