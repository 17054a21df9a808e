"""A pyzmq peer for the tests: peer.py MODE ENDPOINT [ARG...]. It prints what happened, a line each."""
import sys

import zmq

mode, args = sys.argv[1], sys.argv[2:]
context = zmq.Context()


def say(*words):
    print(*words, flush=True)


def connect(kind, endpoint, **options):
    s = context.socket(kind)
    s.linger = 20000
    s.rcvtimeo = s.sndtimeo = 20000
    for name, value in options.items():
        setattr(s, name, value)
    s.connect(endpoint)
    return s


if mode == "ask":  # a REQ: the answers to its questions
    s = connect(zmq.REQ, args[0])
    for question in args[1:]:
        s.send_multipart([question.encode(), b"", question.encode()])
        say(s.recv_multipart())
elif mode == "client":  # Message.Client: greets Go, then answers two messages as Very Powerful Agents read them
    s = connect(zmq.DEALER, args[0], identity=b"python")
    s.send_multipart([b"go", b"\x02", b"a kind that Go does not know"])
    s.send_multipart([b"go", b"\x01", b"\xff"])
    s.send_multipart([b"go", b"\x00\x01", "grüße".encode()])
    for _ in range(2):
        name, kind, payload = s.recv_multipart()
        assert int.from_bytes(kind, byteorder="big") == 1, kind
        say(name.decode(), payload.decode())
        s.send_multipart([name, b"\x01", b"re: " + payload])
elif mode == "notifications":  # Message.Notification: says what it hears, and publishes an answer to the first
    sub = connect(zmq.SUB, args[1], subscribe=b"game")
    pub = connect(zmq.PUB, args[0])
    say("listening")
    topic, kind, payload = sub.recv_multipart()
    say(topic.decode(), kind.hex(), payload.decode())
    sys.stdin.readline()
    pub.send_multipart([b"python.broken", b"\x00", b"\xff"])
    pub.send_multipart([b"pythagoras", b"\x00", b"not asked for"])
    pub.send_multipart([b"python.fine", b"\x00", b"heard you"])
    sys.stdin.readline()
