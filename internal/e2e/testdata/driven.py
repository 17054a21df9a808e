"""A pyzmq socket driven by lines of JSON: {"send": [frames]}, {"subscribe": topic} or {"unsubscribe": topic}.

usage: driven.py KIND ENDPOINT [OPTIONS]

OPTIONS is JSON too: {"id": …, "server": the server's .key, "own": a .key_secret}. What happens is printed, one
JSON object a line: {"got": [frames]}, {"up": true} or {"refused": code}. Frames are Latin-1, so any bytes.
"""
import json
import sys

import zmq
import zmq.auth
from zmq.utils.monitor import recv_monitor_message

kind, endpoint = sys.argv[1], sys.argv[2]
options = json.loads(sys.argv[3]) if len(sys.argv) > 3 else {}
socket = zmq.Context().socket(getattr(zmq, kind))
socket.linger = 0
if "id" in options:
    socket.identity = options["id"].encode("latin-1")
if "server" in options:
    socket.curve_serverkey, _ = zmq.auth.load_certificate(options["server"])
    socket.curve_publickey, socket.curve_secretkey = zmq.auth.load_certificate(options["own"])


def say(**what):
    print(json.dumps(what), flush=True)


events = socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_HANDSHAKE_FAILED_AUTH)
socket.connect(endpoint)
poller = zmq.Poller()
for source in (events, sys.stdin.fileno()):
    poller.register(source, zmq.POLLIN)
if kind != "PUB":
    poller.register(socket, zmq.POLLIN)
pending = b""
while True:
    for source, _ in poller.poll():
        if source is socket:
            say(got=[f.decode("latin-1") for f in socket.recv_multipart()])
        elif source is events:
            event = recv_monitor_message(events)
            if event["event"] == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                say(up=True)
            else:
                say(refused=event["value"])
        else:
            data = sys.stdin.buffer.raw.read(65536)
            if not data:
                sys.exit(0)
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                command = json.loads(line)
                if "send" in command:
                    socket.send_multipart([f.encode("latin-1") for f in command["send"]])
                if "subscribe" in command:
                    socket.subscribe(command["subscribe"].encode("latin-1"))
                if "unsubscribe" in command:
                    socket.unsubscribe(command["unsubscribe"].encode("latin-1"))
