"""Agents of Very Powerful Agents that a test drives: a line of JSON in is a command, a line out is what happened.

{"do": "router", "as": NAME, "address": ENDPOINT}     {"do": "broker", "as": NAME, "pub": ENDPOINT, "sub": ENDPOINT}
{"do": "client", "as": NAME, "address": ENDPOINT}     {"do": "notifier", "as": NAME, "pub": …, "sub": …, "topics": PREFIX}
{"do": "echo", "as": NAME, "address": ENDPOINT}       {"do": "asker", "as": NAME, "address": ENDPOINT}
  each with "key": [PUBLIC, SECRET], of a server with "clients": DIR or "any", of a client with "server": PUBLIC
{"do": "send", "as": NAME, "name" or "topic": …, "payload": …} or {"frames": [HEX, …]}
{"do": "certificates", "dir": DIR, "name": …}         {"do": "load", "file": FILE} or {"dir": DIR}
"""
import json
import os
import sys
import threading

out, sys.stdout = sys.stdout, sys.stderr  # the agents log on stdout

import rxpipes  # noqa: E402

# agents.mixins.webserver imports this name, which no released rxpipes has; only web sockets use it.
if not hasattr(rxpipes, "observable_to_async_queue"):
    rxpipes.observable_to_async_queue = None

import zmq  # noqa: E402
from agents import Agent, Message  # noqa: E402


saying = threading.Lock()


def say(who, /, **what):
    with saying:
        print(json.dumps({"as": who, **what}), file=out, flush=True)


def died(failure):
    say("", died=repr(failure.exc_value))


threading.excepthook = died


class Role(Agent):
    def setup(self, c):
        self.me, self.connection, bound = c["as"], None, []
        server = self.curve_server_config(c["key"][1].encode()) if c.get("key") else {}
        client = {}
        if c.get("server"):
            client = self.curve_client_config(c["server"].encode(), *(k.encode() for k in c["key"]))
        if c["do"] == "router":
            bound = [self.create_router(c["address"], options=server)]
        elif c["do"] == "broker":
            bound = self.create_notification_broker(c["pub"], c["sub"], options=server)
        elif c["do"] == "client":
            self.connection = self.create_client(c["address"], options=client)
            self.show(self.connection, lambda m: {"name": m.name, "payload": m.payload})
        elif c["do"] == "notifier":
            self.connection, sub = self.create_notification_client(
                c["pub"], c["sub"], options=client, topics=c.get("topics", ""))
            self.show(sub, lambda m: {"topic": m.topic, "payload": m.payload})
        elif c["do"] == "echo":
            self.connection = self.bind_socket(zmq.REP, server, c["address"])
            self.connection.observable.subscribe(self.connection.send)
            bound = [self.connection]
        elif c["do"] == "asker":
            self.connection = self.connect_socket(zmq.REQ, client, c["address"])
            self.show(self.connection, lambda frames: {"frames": [f.hex() for f in frames]})
        if c.get("clients"):
            self.start_authenticator(certificates_path=None if c["clients"] == "any" else c["clients"])
        self.bound = ",".join(b.socket.getsockopt_string(zmq.LAST_ENDPOINT) for b in bound)

    def show(self, connection, fields):
        self.disposables.append(connection.observable.subscribe(lambda m: say(self.me, **fields(m))))

    def initialized(self):
        say(self.me, bound=self.bound)


def load(c):
    if c.get("dir"):
        return say("", keys=sorted(k.decode() for k in Agent.load_curve_certificates(c["dir"])))
    public, secret = Agent.load_curve_certificate(c["file"])
    say("", keys=[public.decode(), (secret or b"").decode()])


agents = {}
for line in sys.stdin:
    command = json.loads(line)
    agent = agents.get(command.get("as"))
    if command["do"] == "certificates":
        Agent.create_curve_certificates(command["dir"], command["name"], metadata={"email": "a@b"})
        say("", bound="")
    elif command["do"] == "load":
        load(command)
    elif command["do"] != "send":
        agents[command["as"]] = Role(command, name=command["as"])
    elif "frames" in command:
        agent.connection.send([bytes.fromhex(f) for f in command["frames"]])
    elif "topic" in command:
        agent.connection.send(Message.Notification(topic=command["topic"], payload=command["payload"]).to_multipart())
    else:
        agent.connection.send(Message.Client(name=command["name"], payload=command["payload"]).to_multipart())
os._exit(0)  # shutdown() waits for ever when a message is left over
