"""libzmq sockets that a test drives: a line of JSON in is a command, a line out is what happened.

{"do": "open", "as": NAME, "type": "DEALER", "bind" or "connect": ENDPOINT, "id": …, "topics": […], "verbose": true,
 "key": [PUBLIC, SECRET], "server": PUBLIC, "monitor": true}
{"do": "send", "as": NAME, "frames": [HEX, …]}    {"do": "subscribe" or "unsubscribe", "as": NAME, "topic": HEX}
{"do": "close", "as": NAME}                       {"do": "certificates", "dir": DIR, "name": …} makes a pair
{"do": "load", "file": FILE} or {"dir": DIR}
"""
import json
import sys

import zmq
import zmq.auth
from zmq.utils.monitor import recv_monitor_message

context = zmq.Context()
sockets = {}
poller = zmq.Poller()
names = {}
EVENTS = {value: name[len("EVENT_"):] for name, value in vars(zmq).items() if name.startswith("EVENT_")}


def say(who, /, **what):
    print(json.dumps({"as": who, **what}), flush=True)


def watch(socket, name, kind):
    names[socket] = (name, kind)
    poller.register(socket, zmq.POLLIN)


def opened(c):
    s = context.socket(getattr(zmq, c["type"]))
    s.linger = 0
    s.sndtimeo = 20000
    if c.get("id"):
        s.identity = bytes.fromhex(c["id"])
    if c.get("verbose"):
        s.setsockopt(zmq.XPUB_VERBOSE, 1)
    if c.get("server"):
        s.curve_publickey, s.curve_secretkey = (k.encode() for k in c["key"])
        s.curve_serverkey = c["server"].encode()
    elif c.get("key"):
        s.curve_secretkey, s.curve_server = c["key"][1].encode(), True
    for topic in c.get("topics") or []:
        s.setsockopt(zmq.SUBSCRIBE, bytes.fromhex(topic))
    if c.get("monitor"):
        watch(s.get_monitor_socket(), c["as"], "event")
    watch(s, c["as"], "frames")
    sockets[c["as"]] = s
    if c.get("bind"):
        s.bind(c["bind"])
        say(c["as"], bound=s.last_endpoint.decode())
    else:
        s.connect(c["connect"])
        say(c["as"], bound="")


def load(c):
    if c.get("dir"):
        return say("", keys=sorted(k.decode() for k in zmq.auth.load_certificates(c["dir"])))
    public, secret = zmq.auth.load_certificate(c["file"])
    say("", keys=[public.decode(), (secret or b"").decode()])


def do(c):
    name = c.get("as", "")
    if c["do"] == "open":
        opened(c)
    elif c["do"] == "send":
        sockets[name].send_multipart([bytes.fromhex(f) for f in c["frames"]])
    elif c["do"] == "subscribe":
        sockets[name].setsockopt(zmq.SUBSCRIBE, bytes.fromhex(c["topic"]))
    elif c["do"] == "unsubscribe":
        sockets[name].setsockopt(zmq.UNSUBSCRIBE, bytes.fromhex(c["topic"]))
    elif c["do"] == "certificates":
        zmq.auth.create_certificates(c["dir"], c["name"], metadata={"email": "a@b"})
        say("", bound="")
    elif c["do"] == "load":
        load(c)
    elif c["do"] == "close":
        s = sockets.pop(name)
        for watched in [w for w, (n, _) in names.items() if n == name]:
            poller.unregister(watched)
            del names[watched]
        s.disable_monitor()
        s.close()


def heard(socket):
    name, kind = names[socket]
    if kind == "event":
        event = recv_monitor_message(socket)
        return say(name, event=EVENTS.get(event["event"], "?"), value=event["value"])
    try:
        while True:
            say(name, frames=[f.hex() for f in socket.recv_multipart(zmq.NOBLOCK)])
    except zmq.ZMQError as e:
        if e.errno not in (zmq.EAGAIN, zmq.EFSM):  # EFSM: a REQ has its answer
            raise


stdin = sys.stdin.buffer.raw
poller.register(stdin.fileno(), zmq.POLLIN)
pending = b""
while True:
    for source, _ in poller.poll():
        if source in names:
            heard(source)
        elif source == stdin.fileno():
            data = stdin.read(65536)
            if not data:
                sys.exit(0)
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                do(json.loads(line))
