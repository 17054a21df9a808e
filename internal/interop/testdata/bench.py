"""Measures the router and the notification broker of Very Powerful Agents beside agentmesh's, under the same clients.

usage: bench.py AGENTMESH [ROUNDS]        AGENTMESH is the program; prints a table in Markdown

Server, sender and receiver are processes of their own. In every round each system takes each measurement once, in
turn. The clients are plain pyzmq sockets, which are fast, and agents of Very Powerful Agents, which wait up to 50 ms
before they send. What is lost is counted and does not count as delivered.
"""
import json
import os
import signal
import statistics
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TICK = os.sysconf("SC_CLK_TCK")
BODY = b"x" * 32
ANY = "tcp://127.0.0.1:*"
now = time.monotonic  # one clock for all processes of the machine


# --- clients: bench.py client KIND ENDPOINT... prints a line of JSON when it is there and one when it has finished


def say(**what):
    print(json.dumps(what), file=OUT, flush=True)


def socket(kind, endpoint, name=b"", subscribe=None):
    """A socket that is connected, or bound where the endpoint is "direct"."""
    import zmq

    s = zmq.Context.instance().socket(getattr(zmq, kind))
    s.linger, s.sndhwm, s.rcvhwm = -1, 0, 0
    s.rcvtimeo = 60000
    if name:
        s.identity = name
    if subscribe is not None:
        s.setsockopt(zmq.SUBSCRIBE, subscribe)
    if endpoint == "direct":
        s.bind(ANY)
        say(ready=s.last_endpoint.decode())
    else:
        s.connect(endpoint)
    return s


def named(endpoint, name, direct=""):
    """A DEALER that the router knows, if there is one."""
    s = socket("DEALER", endpoint, name)
    if "direct" not in (endpoint, direct):
        s.send_multipart([name, b"\x01", b"known"])
        s.recv_multipart()
    if endpoint != "direct":
        say(ready=True)
    return s


def raw_pong(endpoint):
    s = named(endpoint, b"receiver")
    while True:
        s.send_multipart(s.recv_multipart())


def raw_ping(endpoint, n, direct=""):
    s, taken = named(endpoint, b"sender", direct), []
    for _ in range(n):
        begin = now()
        s.send_multipart([b"receiver", b"\x01", BODY])
        s.recv_multipart()
        taken.append(now() - begin)
    say(taken=taken)


CREDIT = 250


def raw_drain(endpoint, n):
    s = named(endpoint, b"receiver")
    for i in range(1, n + 1):
        s.recv_multipart()
        if i % CREDIT == 0:
            s.send_multipart([b"sender", b"\x01", b""])
    say(end=now(), received=n)


def raw_flood(endpoint, n, direct=""):
    s = named(endpoint, b"sender", direct)
    begin, in_flight = now(), 0
    for _ in range(n):
        if in_flight == 1000:
            s.recv_multipart()
            in_flight -= CREDIT
        s.send_multipart([b"receiver", b"\x01", BODY])
        in_flight += 1
    say(begin=begin, sent=n)


def raw_subscribe(endpoint, n):
    s = socket("SUB", endpoint, subscribe=b"topic")
    if endpoint != "direct":
        say(ready=True)
    received, end, s.rcvtimeo = 0, 0, 60000
    import zmq

    while received < n:
        try:
            s.recv_multipart()
        except zmq.Again:
            break
        received, end, s.rcvtimeo = received + 1, now(), 3000
    say(end=end, received=received)


def raw_publish(endpoint, n):
    s = socket("XPUB", endpoint)
    while s.recv() != b"\x01topic":
        pass
    say(ready=True)
    begin = now()
    for _ in range(n):
        s.send_multipart([b"topic", b"\x00", BODY])
    say(begin=begin, sent=n)


def raw_notify(pub_endpoint, sub_endpoint, n):
    """One publication at a time, with pauses."""
    pub, sub = socket("XPUB", pub_endpoint), socket("SUB", sub_endpoint, subscribe=b"")
    pub.recv()
    say(ready=True)
    taken = []
    for i in range(n):
        time.sleep(0.06)
        begin = now()
        pub.send_multipart([b"topic", b"\x00", BODY])
        sub.recv_multipart()
        taken.append(now() - begin)
    say(taken=taken)


def agent_class():
    sys.stdout = sys.stderr
    import rxpipes

    if not hasattr(rxpipes, "observable_to_async_queue"):
        rxpipes.observable_to_async_queue = None  # only web sockets use it, and no released rxpipes has it
    import logging

    import agents

    logging.disable(logging.CRITICAL)
    return agents.Agent, agents.Message


def vpa_client(endpoint, name, received):
    """An agent with a client that the router knows; received is called with each message."""
    Agent, Message = agent_class()
    known = threading.Event()

    class Client(Agent):
        def setup(self):
            self.client = self.create_client(endpoint)
            self.client.observable.subscribe(lambda m: known.set() if m.payload == "known" else received(m))

    agent = Client(name=name)
    agent.client.send(Message.Client(name=name, payload="known").to_multipart())
    known.wait(60)
    say(ready=True)
    return lambda to: agent.client.send(Message.Client(name=to, payload=BODY.decode()).to_multipart())


def vpa_pong(endpoint):
    send = []
    send.append(vpa_client(endpoint, "receiver", lambda m: send[0]("sender")))
    time.sleep(600)


def vpa_ping(endpoint, n):
    taken, came = [], threading.Event()
    send = vpa_client(endpoint, "sender", lambda m: came.set())
    for _ in range(n):
        begin = now()
        send("receiver")
        came.wait(60)
        came.clear()
        taken.append(now() - begin)
    say(taken=taken)


class Count:
    def __init__(self, n):
        self.n, self.received, self.end, self.all = n, 0, 0, threading.Event()

    def one(self, _):
        self.received, self.end = self.received + 1, now()
        if self.received == self.n:
            self.all.set()

    def report(self):
        while not self.all.wait(3):
            if self.received and now() - self.end > 3:
                break
        say(end=self.end, received=self.received)


def vpa_drain(endpoint, n):
    count = Count(n)
    vpa_client(endpoint, "receiver", count.one)
    count.report()


def vpa_flood(endpoint, n):
    send = vpa_client(endpoint, "sender", lambda m: None)
    begin = now()
    for _ in range(n):
        send("receiver")
    say(begin=begin, sent=n)
    time.sleep(600)


def vpa_notifier(pub, sub, topics, received):
    Agent, Message = agent_class()

    class Notifier(Agent):
        def setup(self):
            self.pub, self.sub = self.create_notification_client(pub, sub, topics=topics)
            self.sub.observable.subscribe(received)

    agent = Notifier()
    return lambda topic: agent.pub.send(Message.Notification(topic=topic, payload=BODY.decode()).to_multipart())


def met(send, came):
    """Publishes until something arrives, then until nothing does."""
    while not came.is_set():
        send("sync")
        time.sleep(0.1)
    time.sleep(0.3)
    say(ready=True)


def vpa_subscribe(pub, sub, n):
    count, came = Count(n), threading.Event()
    send = vpa_notifier(pub, sub, "", lambda m: came.set() if m.topic == "sync" else count.one(m))
    met(send, came)
    count.report()


def vpa_publish(pub, sub, n):
    came = threading.Event()
    send = vpa_notifier(pub, sub, "sync", lambda m: came.set())
    met(send, came)
    begin = now()
    for _ in range(n):
        send("topic")
    say(begin=begin, sent=n)
    time.sleep(600)


def vpa_notify(pub, sub, n):
    came, begun, taken = threading.Event(), [0.0], []

    def received(m):
        if m.topic == "topic":
            taken.append(now() - begun[0])
        came.set()

    send = vpa_notifier(pub, sub, "", received)
    met(send, came)
    for i in range(n):
        came.clear()
        time.sleep(0.023 + i % 7 * 0.003)
        begun[0] = now()
        send("topic")
        came.wait(60)
    say(taken=taken)


# --- servers and processes


def processor(process):
    """Seconds of processor time of a process."""
    if not process:
        return 0
    with open(f"/proc/{process.pid}/stat") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


processes = []


def spawn(*words):
    pipe = subprocess.PIPE
    processes.append(subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True))
    return processes[-1]


def client(kind, *args):
    return spawn(sys.executable, __file__, "client", kind, *map(str, args))


def result(process):
    line = process.stdout.readline()
    if not line:
        raise SystemExit(f"a client has ended: {process.args}")
    return json.loads(line)


def end(*ended):
    for p in ended:
        p.kill()
    for p in ended:
        p.communicate()
        processes.remove(p)


def python_server(command):
    process = spawn(sys.executable, os.path.join(HERE, "vpa.py"))
    process.stdin.write(json.dumps({"as": "server", **command}) + "\n")
    process.stdin.flush()
    return process, json.loads(process.stdout.readline())["bound"].split(",")


def our_server(program, role, **flags):
    words = [program, role]
    for name in flags:
        words += ["--" + name, ANY.replace("*", "0")]
    process = spawn(*words)
    ready = dict(w.partition("=")[::2] for w in process.stdout.readline().split()[1:])
    return process, [ready[key] for key in (("bind",) if role == "router" else ("pub", "sub"))]


# --- measurements: each returns {quantity: value} for a system, whose starters are given


def latency(taken):
    taken = sorted(taken)
    return {"p50 µs": taken[len(taken) // 2] * 1e6, "p99 µs": taken[len(taken) * 99 // 100] * 1e6}


def round_trips(peers, n):
    def measure(start):
        server, (endpoint,) = start["router"]()
        pong = client(peers + "_pong", endpoint)
        ping = client(peers + "_ping", *past(server, endpoint, result(pong)), n, *direct(server))
        result(ping)
        got = latency(result(ping)["taken"])
        end(ping, pong, *([server] if server else []))
        return got

    return measure


def past(server, endpoint, ready):
    """Where the other client connects: to the server or, without one, to the first client."""
    return [endpoint if server else ready["ready"]]


def direct(server):
    return [] if server else ["direct"]


def rate(server, receiver, sender, before):
    sent, got = result(sender), result(receiver)
    found = {"messages/s": got["received"] / (got["end"] - sent["begin"]), "lost": sent["sent"] - got["received"]}
    if server:
        found["server's CPU µs/message"] = (processor(server) - before) / sent["sent"] * 1e6
    end(sender, receiver, *([server] if server else []))
    return found


def routed(peers, n):
    def measure(start):
        server, (endpoint,) = start["router"]()
        receiver = client(peers + "_drain", endpoint, n)
        there = past(server, endpoint, result(receiver))
        before = processor(server)
        sender = client(peers + "_flood", *there, n, *direct(server))
        result(sender)
        return rate(server, receiver, sender, before)

    return measure


def published(peers, n):
    def measure(start):
        server, (pub, sub) = start["broker"]()
        receiver = client(peers + "_subscribe", *([sub] if peers == "raw" else [pub, sub]), n)
        there = past(server, pub, result(receiver))
        before = processor(server)
        sender = client(peers + "_publish", *(there if peers == "raw" else [pub, sub]), n)
        result(sender)
        return rate(server, receiver, sender, before)

    return measure


def notified(peers, n):
    def measure(start):
        server, endpoints = start["broker"]()
        both = client(peers + "_notify", *endpoints, n)
        result(both)
        got = latency(result(both)["taken"])
        end(both, server)
        return got

    return measure


MEASUREMENTS = [  # and whether the clients can do it without a server
    ("router: one message there and back (pyzmq)", round_trips("raw", 2000), True),
    ("router: 100,000 messages, 1000 in flight (pyzmq)", routed("raw", 100000), True),
    ("router: one message there and back (VPA)", round_trips("vpa", 60), False),
    ("router: burst of 20,000 (VPA)", routed("vpa", 20000), False),
    ("broker: one publication (pyzmq)", notified("raw", 50), False),
    ("broker: burst of 100,000 (pyzmq)", published("raw", 100000), True),
    ("broker: one publication (VPA)", notified("vpa", 60), False),
    ("broker: burst of 20,000 (VPA)", published("vpa", 20000), False),
]


def shown(values):
    digits = lambda v: f"{v:,.2f}" if v < 10 else f"{v:,.0f}"
    return f"{digits(statistics.median(values))} ({digits(min(values))}–{digits(max(values))})"


def main(program, rounds="3"):
    systems = {
        "Python": {
            "router": lambda: python_server({"do": "router", "address": ANY}),
            "broker": lambda: python_server({"do": "broker", "pub": ANY, "sub": ANY}),
        },
        "agentmesh": {
            "router": lambda: our_server(program, "router", bind=True),
            "broker": lambda: our_server(program, "broker", pub=True, sub=True),
        },
        # The clients connected with each other: they go no faster than this.
        "no server": {"router": lambda: (None, ["direct"]), "broker": lambda: (None, ["direct"] * 2)},
    }
    results = {}
    for r in range(int(rounds)):
        for name, measure, alone in MEASUREMENTS:
            for system, start in list(systems.items())[:: 1 if r % 2 == 0 else -1]:
                if system == "no server" and not alone:
                    continue
                signal.alarm(300)  # ends a measurement that does not end by itself
                for quantity, value in measure(start).items():
                    results.setdefault((name, quantity), {}).setdefault(system, []).append(value)
        print(f"round {r + 1} done", file=sys.stderr)
    import zmq

    print(f"Python {sys.version.split()[0]}, pyzmq {zmq.__version__}, libzmq {zmq.zmq_version()}, load {os.getloadavg()[0]:.1f}\n")
    print("| what | quantity | Python | agentmesh | better by | no server |")
    print("|---|---|---:|---:|---:|---:|")
    for (name, quantity), by in results.items():
        theirs, ours = by["Python"], by["agentmesh"]
        alone = shown(by["no server"]) if "no server" in by else ""
        if quantity == "lost":
            if any(theirs + ours):
                print(f"| {name} | lost | {shown(theirs)} | {shown(ours)} | | {alone} |")
            continue
        pairs = zip(ours, theirs) if quantity == "messages/s" else zip(theirs, ours)
        ratios = shown([a / b if b else float("nan") for a, b in pairs])
        print(f"| {name} | {quantity} | {shown(theirs)} | {shown(ours)} | {ratios} | {alone} |")


OUT = sys.stdout
if sys.argv[1] == "client":
    kind, args = sys.argv[2], [int(a) if a.isdigit() else a for a in sys.argv[3:]]
    globals()[kind](*args)
    if kind.startswith("vpa"):
        os._exit(0)  # shutdown() may wait for ever
else:
    try:
        signal.signal(signal.SIGALRM, lambda *_: sys.exit("a measurement does not end"))
        main(*sys.argv[1:])
    finally:
        end(*list(processes))
