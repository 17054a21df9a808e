"""A pyzmq DEALER driven by lines: what comes on stdin is sent, what arrives is printed.

usage: dealer.py ENDPOINT ROUTING_ID
"""
import sys
import zmq

context = zmq.Context()
socket = context.socket(zmq.DEALER)
socket.setsockopt(zmq.LINGER, 0)
if len(sys.argv) > 2 and sys.argv[2]:
    socket.setsockopt(zmq.IDENTITY, sys.argv[2].encode("utf-8"))
socket.setsockopt(zmq.RCVHWM, 100000)
socket.setsockopt(zmq.SNDHWM, 100000)
socket.connect(sys.argv[1])

poller = zmq.Poller()
poller.register(socket, zmq.POLLIN)
poller.register(sys.stdin.fileno(), zmq.POLLIN)
pending = b""
stdin = sys.stdin.buffer.raw
out = sys.stdout.buffer
while True:
    for source, _ in poller.poll():
        if source is socket:
            while True:
                try:
                    frames = socket.recv_multipart(zmq.NOBLOCK)
                except zmq.Again:
                    break
                out.write(b"|".join(frames) + b"\n")
            out.flush()
        else:
            data = stdin.read(65536)
            if not data:
                sys.exit(0)
            pending += data
            *lines, pending = pending.split(b"\n")
            for line in lines:
                socket.send(line)
