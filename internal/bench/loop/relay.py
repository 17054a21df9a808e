"""A ROUTER that relays: [dest, payload] from a DEALER becomes [source, payload] for the DEALER dest."""

import zmq

socket = zmq.Context().socket(zmq.ROUTER)
socket.bind("tcp://127.0.0.1:*")
print("ready zmq=" + socket.getsockopt_string(zmq.LAST_ENDPOINT), flush=True)
while True:
    source, dest, payload = socket.recv_multipart()
    socket.send_multipart([dest, source, payload])
