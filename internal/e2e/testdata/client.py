# A client of Very Powerful Agents' router: a DEALER that says who it is and sends [name, 0x01, payload].
# Lines on standard input are frames as JSON lists; each message that arrives is printed as one.
import json, sys, threading, zmq

context = zmq.Context()
socket = context.socket(zmq.DEALER)
socket.setsockopt(zmq.IDENTITY, sys.argv[2].encode())
socket.setsockopt(zmq.RECONNECT_IVL, 50)
socket.setsockopt(zmq.RECONNECT_IVL_MAX, 50)
socket.connect(sys.argv[1])
pipe, end = context.socket(zmq.PAIR), context.socket(zmq.PAIR)
pipe.bind("inproc://lines")
end.connect("inproc://lines")


def read():
    for line in sys.stdin:
        end.send(line.encode())


threading.Thread(target=read, daemon=True).start()
poller = zmq.Poller()
poller.register(socket, zmq.POLLIN)
poller.register(pipe, zmq.POLLIN)
while True:
    ready = dict(poller.poll())
    if pipe in ready:
        socket.send_multipart([frame.encode() for frame in json.loads(pipe.recv())])
    if socket in ready:
        print(json.dumps([frame.decode() for frame in socket.recv_multipart()]), flush=True)
