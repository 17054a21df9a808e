import json, sys, uuid, zmq

session = sys.stdin.readline().strip()
dealer = zmq.Context().socket(zmq.DEALER)
dealer.connect("tcp://127.0.0.1:5555")
dealer.send_json({"type": "Login", "id": "login", "since": 0, "from": {"type": "User", "id": "ann", "session": session}})
dealer.send_json({"type": "DirectMessage", "id": uuid.uuid4().hex, "to": {"type": "User", "id": "bob"}, "message": "Hello from Python"})
while True:
    print(json.loads(dealer.recv()))
