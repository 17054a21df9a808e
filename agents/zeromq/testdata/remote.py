"""A libzmq socket under remote control: remote.py TYPE bind|connect ENDPOINT [OPTION=VALUE...].

Options are names of zmq constants; an integer or, after "hex:", bytes. It prints the endpoint, then obeys a line at
a time: "send HEX,HEX" (nothing is printed), "recv" (prints "msg HEX,HEX" or "none"), "echo" (recv, and send it
back), "sub HEX", "lost" (prints how many connections the monitor saw end, and how many handshakes fail for good)."""
import os
import select
import sys

import zmq
from zmq.utils.monitor import recv_monitor_message

kind, how, endpoint, options = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]
context = zmq.Context()
s = context.socket(getattr(zmq, kind))
s.linger = 0
s.rcvtimeo = s.sndtimeo = 20000
s.setsockopt(zmq.RECONNECT_IVL, 50)
if "PLAIN_SERVER=1" in options:  # which asks a ZAP handler, and fails without one
    from zmq.auth.thread import ThreadAuthenticator
    zap = ThreadAuthenticator(context)
    zap.start()
    zap.configure_plain(domain="test", passwords={"u": "p", "ann": "secret"})
    s.setsockopt(zmq.ZAP_DOMAIN, b"test")
for option in options:
    name, value = option.split("=", 1)
    s.setsockopt(getattr(zmq, name), bytes.fromhex(value[4:]) if value.startswith("hex:") else int(value))
# libzmq 4.3.4 has a misspelt ERROR in PLAIN and takes the right one for a violation, which is as final.
refusals = zmq.EVENT_HANDSHAKE_FAILED_AUTH | (zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL if s.mechanism == zmq.PLAIN else 0)
monitor = s.get_monitor_socket(zmq.EVENT_DISCONNECTED | refusals)
if how == "bind":
    s.bind(endpoint)
    endpoint = s.getsockopt(zmq.LAST_ENDPOINT).rstrip(b"\0").decode()
else:
    s.connect(endpoint)
print(endpoint, flush=True)


def lines():
    pending = b""
    while True:
        # libzmq takes notice of new connections only while it is called.
        while not select.select([0], [], [], 0.02)[0]:
            s.getsockopt(zmq.EVENTS)
        got = os.read(0, 1 << 20)
        if not got:
            return
        *whole, pending = (pending + got).split(b"\n")
        yield from whole


for line in lines():
    verb, _, rest = line.decode().partition(" ")
    if verb == "send":
        s.send_multipart([bytes.fromhex(f) for f in rest.split(",")])
    elif verb == "recv":
        try:
            print("msg", ",".join(f.hex() for f in s.recv_multipart()), flush=True)
        except zmq.Again:
            print("none", flush=True)
    elif verb == "echo":
        s.send_multipart(s.recv_multipart())
    elif verb == "sub":
        s.setsockopt(zmq.SUBSCRIBE, bytes.fromhex(rest))
    elif verb == "lost":
        lost = refused = 0
        while monitor.poll(0):
            event = recv_monitor_message(monitor)
            if event["event"] == zmq.EVENT_DISCONNECTED:
                lost += 1
            elif event["event"] == zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL or event["value"] == 400:
                refused += 1
        print(lost, refused, flush=True)
