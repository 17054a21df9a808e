/*
 * One end of a measurement, in C on libzmq: see doc.go of the command for the roles and what they print.
 *
 * Every message bears at its bytes 8 to 15 a number that counts from 0, and at byte 16 what it is, so that
 * a receiver notices one that is lost, repeated or out of order. The last frame is the one that bears them.
 */
#include <zmq.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MESSAGE, LAST, PROBE };

static int argc_;
static char **argv_;

static const char *option(const char *name, const char *otherwise)
{
	size_t n = strlen(name);
	for (int i = 2; i < argc_; i++)
		if (!strncmp(argv_[i], name, n) && argv_[i][n] == '=')
			return argv_[i] + n + 1;
	return otherwise;
}

static long number(const char *name, long otherwise)
{
	const char *s = option(name, NULL);
	return s ? atol(s) : otherwise;
}

static void die(const char *what)
{
	printf("void %s: %s\n", what, zmq_strerror(errno));
	fflush(stdout);
	exit(1);
}

static void must(int rc, const char *what)
{
	if (rc < 0)
		die(what);
}

static int64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int64_t cpu(void) /* microseconds, of all threads */
{
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000LL + u.ru_utime.tv_usec + u.ru_stime.tv_usec;
}

static void wait_for_the_end(void)
{
	char c;
	fflush(stdout);
	while (read(0, &c, 1) > 0)
		;
	exit(0);
}

static void set(void *s, int name, int value) { must(zmq_setsockopt(s, name, &value, sizeof value), "setsockopt"); }

/* key n of the option curve, 32 bytes of hex each: server secret, server public, client secret, client public */
static void set_key(void *s, int name, int n)
{
	unsigned char key[32];
	const char *hex = option("curve", "");
	for (int i = 0; i < 32; i++)
		sscanf(hex + 65 * n + 2 * i, "%2hhx", &key[i]);
	must(zmq_setsockopt(s, name, key, 32), "curve key");
}

static void *new_socket(void *ctx, int type)
{
	void *s = zmq_socket(ctx, type);
	if (!s)
		die("socket");
	int hwm = (int)number("hwm", 10000);
	set(s, ZMQ_SNDHWM, hwm);
	set(s, ZMQ_RCVHWM, hwm);
	set(s, ZMQ_LINGER, 0);
	if (type == ZMQ_ROUTER)
		set(s, ZMQ_ROUTER_MANDATORY, 1); /* a full peer is waited for, not robbed */
	if (*option("curve", "")) {
		if (type == ZMQ_ROUTER) {
			set(s, ZMQ_CURVE_SERVER, 1);
			set_key(s, ZMQ_CURVE_SECRETKEY, 0);
		} else {
			set_key(s, ZMQ_CURVE_SERVERKEY, 1);
			set_key(s, ZMQ_CURVE_SECRETKEY, 2);
			set_key(s, ZMQ_CURVE_PUBLICKEY, 3);
		}
	}
	return s;
}

static void print_endpoint(void *s)
{
	char e[256];
	size_t n = sizeof e;
	must(zmq_getsockopt(s, ZMQ_LAST_ENDPOINT, e, &n), "endpoint");
	printf("endpoint %s\n", e);
	fflush(stdout);
}

/* the ROUTER binds, the DEALER connects and says hi */
static void *open_end(void *ctx, int router)
{
	void *s = new_socket(ctx, router ? ZMQ_ROUTER : ZMQ_DEALER);
	if (router) {
		must(zmq_bind(s, "tcp://127.0.0.1:*"), "bind");
		print_endpoint(s);
		return s;
	}
	must(zmq_setsockopt(s, ZMQ_ROUTING_ID, "d", 1), "routing id");
	must(zmq_connect(s, option("endpoint", "")), "connect");
	must(zmq_send(s, "hi", 2, 0), "hi");
	return s;
}

/* receives a message and leaves its last frame in m */
static void receive(void *s, zmq_msg_t *m)
{
	do
		must(zmq_msg_recv(m, s, 0), "receive");
	while (zmq_msg_more(m));
}

static void stamp(char *b, uint64_t seq, char kind)
{
	memcpy(b + 8, &seq, 8);
	b[16] = kind;
}

static void send_role(void *ctx)
{
	int router = !strcmp(option("type", ""), "router"), frames = (int)number("frames", 1);
	int size = (int)number("size", 64);
	int64_t during = number("ms", 500) * 1000000LL;
	void *s = open_end(ctx, router);
	zmq_msg_t m;
	zmq_msg_init(&m);
	receive(s, &m); /* hi or go */
	char *body = calloc(1, (size_t)size), small[16] = "0123456789abcde";
	int64_t c = cpu(), end = now() + during;
	for (uint64_t n = 0, last = 0; !last; n++) {
		last = n % 64 == 0 && now() > end;
		stamp(body, n, last ? LAST : MESSAGE);
		if (router)
			must(zmq_send(s, "d", 1, ZMQ_SNDMORE), "send");
		for (int i = 1; i < frames; i++)
			must(zmq_send(s, small, 16, ZMQ_SNDMORE), "send");
		must(zmq_send(s, body, (size_t)size, 0), "send");
	}
	receive(s, &m); /* ok */
	printf("result cpu=%ld\n", (long)(cpu() - c));
	wait_for_the_end();
}

/* counts messages; returns 1 at the last */
static int count(zmq_msg_t *m, uint64_t *n)
{
	char *b = zmq_msg_data(m);
	uint64_t seq;
	if (zmq_msg_size(m) < 17) {
		printf("void message of %zu bytes\n", zmq_msg_size(m));
		wait_for_the_end();
	}
	memcpy(&seq, b + 8, 8);
	if (b[16] != PROBE && seq != (*n)++) {
		printf("void message %lu where %lu was due\n", (unsigned long)seq, (unsigned long)*n - 1);
		wait_for_the_end();
	}
	return b[16] == LAST;
}

static void receive_role(void *ctx)
{
	int router = !strcmp(option("type", ""), "router");
	void *s = open_end(ctx, router);
	zmq_msg_t m;
	zmq_msg_init(&m);
	if (router) {
		receive(s, &m); /* hi */
		must(zmq_send(s, "d", 1, ZMQ_SNDMORE), "go");
		must(zmq_send(s, "go", 2, 0), "go");
	}
	int64_t began = 0, c = 0;
	uint64_t n = 0;
	for (int last = 0; !last;) {
		receive(s, &m);
		if (!n) {
			began = now();
			c = cpu();
		}
		last = count(&m, &n);
	}
	int64_t took = now() - began;
	if (router)
		must(zmq_send(s, "d", 1, ZMQ_SNDMORE), "ok");
	must(zmq_send(s, "ok", 2, 0), "ok");
	printf("result messages=%lu ns=%ld cpu=%ld\n", (unsigned long)n, (long)took, (long)(cpu() - c));
	wait_for_the_end();
}

static void echo_role(void *ctx)
{
	void *s = open_end(ctx, 1);
	zmq_msg_t m;
	zmq_msg_init(&m);
	for (;;) {
		must(zmq_msg_recv(&m, s, 0), "receive");
		must(zmq_msg_send(&m, s, zmq_msg_more(&m) ? ZMQ_SNDMORE : 0), "send");
	}
}

static int by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return (x > y) - (x < y);
}

static void ask_role(void *ctx)
{
	int size = (int)number("size", 64), rounds = (int)number("n", 5000), warm = rounds / 10;
	void *s = new_socket(ctx, ZMQ_DEALER);
	must(zmq_connect(s, option("endpoint", "")), "connect");
	char *body = calloc(1, (size_t)size);
	int64_t *took = calloc((size_t)rounds, sizeof *took), c = 0;
	zmq_msg_t m;
	zmq_msg_init(&m);
	for (int i = -warm; i < rounds; i++) {
		if (i == 0)
			c = cpu();
		uint64_t want = (uint64_t)(i + warm);
		int64_t began = now();
		stamp(body, want, MESSAGE);
		must(zmq_send(s, body, (size_t)size, 0), "send");
		receive(s, &m);
		if (i >= 0)
			took[i] = now() - began;
		count(&m, &want);
	}
	c = cpu() - c;
	qsort(took, (size_t)rounds, sizeof *took, by_value);
	printf("result messages=%d cpu=%ld p50=%ld p99=%ld\n", rounds, (long)c, (long)took[rounds / 2], (long)took[rounds * 99 / 100]);
	wait_for_the_end();
}

static void broker_role(void *ctx)
{
	void *in = new_socket(ctx, ZMQ_XSUB), *out = new_socket(ctx, ZMQ_XPUB);
	must(zmq_bind(in, "tcp://127.0.0.1:*"), "bind");
	must(zmq_bind(out, "tcp://127.0.0.1:*"), "bind");
	print_endpoint(in);
	print_endpoint(out);
	zmq_proxy(in, out, NULL);
}

/* PUB keeps at most window messages on their way: the subscriber writes a byte to descriptor 3 for each step of
 * them, which the publisher reads from its own descriptor 3. So nobody has to drop anything. */
static void pub_role(void *ctx)
{
	int size = (int)number("size", 64);
	long window = number("window", 1000), step = number("step", 100), credit = window;
	int64_t during = number("ms", 500) * 1000000LL;
	void *s = new_socket(ctx, ZMQ_PUB);
	must(zmq_connect(s, option("endpoint", "")), "connect");
	char *body = calloc(1, (size_t)size), c, many[4096];
	body[0] = 't';
	/* until the subscription has come through */
	fd_set ready;
	struct timeval t;
	do {
		stamp(body, 0, PROBE);
		must(zmq_send(s, body, (size_t)size, 0), "send");
		FD_ZERO(&ready);
		FD_SET(3, &ready);
		t = (struct timeval){0, 5000};
	} while (select(4, &ready, NULL, NULL, &t) == 0);
	must((int)read(3, &c, 1), "credit");
	int64_t used = cpu(), end = now() + during;
	for (uint64_t n = 0, last = 0; !last; n++) {
		if (credit == 0) {
			ssize_t got = read(3, many, sizeof many);
			if (got <= 0)
				die("credit");
			credit += got * step;
		}
		credit--;
		last = n % 64 == 0 && now() > end;
		stamp(body, n, last ? LAST : MESSAGE);
		must(zmq_send(s, body, (size_t)size, 0), "send");
	}
	while (read(3, many, sizeof many) > 0) /* until the subscriber has all */
		;
	printf("result cpu=%ld\n", (long)(cpu() - used));
	wait_for_the_end();
}

static void sub_role(void *ctx)
{
	long step = number("step", 100);
	void *s = new_socket(ctx, ZMQ_SUB);
	must(zmq_setsockopt(s, ZMQ_SUBSCRIBE, "t", 1), "subscribe");
	must(zmq_connect(s, option("endpoint", "")), "connect");
	zmq_msg_t m;
	zmq_msg_init(&m);
	receive(s, &m);
	must((int)write(3, "s", 1), "credit");
	int64_t began = 0, c = 0;
	uint64_t n = 0;
	for (int last = 0; !last;) {
		receive(s, &m);
		last = count(&m, &n);
		if (n == 1 && !began) {
			began = now();
			c = cpu();
		}
		if (n && n % (uint64_t)step == 0)
			must((int)write(3, "m", 1), "credit");
	}
	printf("result messages=%lu ns=%ld cpu=%ld\n", (unsigned long)n, (long)(now() - began), (long)(cpu() - c));
	close(3);
	wait_for_the_end();
}

/* The load of the echo server: so many DEALERs, window messages each on their way, in one thread of bare
 * ZMTP over epoll, the same for all servers. Each connection checks that its own come back in order. */
struct client {
	int fd, got, flying, greeted;
	uint64_t sent, back;
	char *in;
};

static int64_t load_end;
static int load_size, load_frame, load_window;

static void put(struct client *c, int messages)
{
	char out[64 * 1024], *p = out;
	for (int i = 0; i < messages; i++, p += load_frame) {
		int at = 2;
		memset(p, 0, (size_t)load_frame);
		if (load_size > 255) {
			at = 9;
			p[0] = 2;
			p[7] = (char)(load_size >> 8);
			p[8] = (char)load_size;
		} else
			p[1] = (char)load_size;
		stamp(p + at, c->sent++, MESSAGE);
	}
	c->flying += messages;
	for (char *q = out; q < p;) { /* the window is far below a socket's buffer */
		ssize_t n = write(c->fd, q, (size_t)(p - q));
		if (n <= 0)
			die("load: write");
		q += n;
	}
}

/* takes what has come; returns how many messages */
static int take(struct client *c)
{
	ssize_t n = read(c->fd, c->in + c->got, (size_t)(64 * 1024 - c->got));
	if (n <= 0)
		die("load: read");
	c->got += (int)n;
	int at = 0, messages = 0;
	if (!c->greeted) { /* 64 bytes of greeting, then READY, a short frame */
		if (c->got < 66 || c->got < 66 + (unsigned char)c->in[65])
			return 0;
		at = 66 + (unsigned char)c->in[65];
		c->greeted = 1;
	}
	for (;;) {
		char *p = c->in + at;
		if (c->got - at < 2)
			break;
		if (p[0] & 4) { /* a PING: not answered, the run is short */
			if (c->got - at < 2 + (unsigned char)p[1])
				break;
			at += 2 + (unsigned char)p[1];
			continue;
		}
		if (c->got - at < load_frame)
			break;
		uint64_t seq;
		memcpy(&seq, p + (load_size > 255 ? 9 : 2) + 8, 8);
		if (seq != c->back++) {
			printf("void message %lu where %lu was due\n", (unsigned long)seq, (unsigned long)c->back - 1);
			wait_for_the_end();
		}
		at += load_frame;
		messages++;
	}
	memmove(c->in, c->in + at, (size_t)(c->got - at));
	c->got -= at;
	c->flying -= messages;
	return messages;
}

static void greet(struct client *c, int number_)
{
	char b[128] = {0};
	b[0] = (char)0xff, b[9] = 0x7f, b[10] = 3, b[11] = 0;
	memcpy(b + 12, "NULL", 4);
	char *p = b + 64, id[16];
	int n = snprintf(id, sizeof id, "dealer-%d", number_);
	memcpy(p + 2, "\5READY\13Socket-Type\0\0\0\6DEALER\10Identity\0\0\0", 6 + 12 + 4 + 6 + 9 + 3);
	p[0] = 4, p[2 + 6 + 12 + 4 + 6 + 9 + 3] = (char)n;
	memcpy(p + 2 + 6 + 12 + 4 + 6 + 9 + 4, id, (size_t)n);
	p[1] = (char)(6 + 12 + 4 + 6 + 9 + 4 + n);
	if (write(c->fd, b, (size_t)(66 + p[1])) != 66 + p[1])
		die("load: greeting");
}

static void load_role(void)
{
	int dealers = (int)number("dealers", 20), ep = epoll_create1(0), port = 0;
	load_size = (int)number("size", 256);
	load_frame = load_size + (load_size > 255 ? 9 : 2);
	load_window = (int)number("window", 8);
	sscanf(option("endpoint", ""), "tcp://127.0.0.1:%d", &port);
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	struct client *all = calloc((size_t)dealers, sizeof *all);
	struct epoll_event events[512];
	int greeted = 0;
	for (int i = 0; i < dealers; i++) {
		struct client *c = &all[i];
		int one = 1;
		c->fd = socket(AF_INET, SOCK_STREAM, 0);
		must(connect(c->fd, (struct sockaddr *)&to, sizeof to), "load: connect");
		setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		c->in = malloc(64 * 1024);
		struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
		must(epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &e), "load: epoll");
		greet(c, i);
		/* a hundred at a time: a server's backlog is short */
		while (i - greeted >= 100 || (i == dealers - 1 && greeted < dealers)) {
			int n = epoll_wait(ep, events, 512, 10000);
			if (n == 0) {
				printf("void %d of %d dealers were greeted\n", greeted, dealers);
				wait_for_the_end();
			}
			for (int j = 0; j < n; j++) {
				struct client *d = events[j].data.ptr;
				int before = d->greeted;
				take(d);
				greeted += d->greeted - before;
			}
		}
	}
	/* a warm-up, in which the server may also finish its own part of the handshakes */
	int64_t warm = now() + number("warm", 200) * 1000000LL, began = 0, used = 0, took = 0;
	load_end = warm + number("ms", 1000) * 1000000LL;
	uint64_t messages = 0;
	long flying = 0;
	for (int i = 0; i < dealers; i++, flying += load_window)
		put(&all[i], load_window);
	while (flying > 0) {
		int n = epoll_wait(ep, events, 512, 10000);
		int64_t t = now();
		if (n == 0) {
			printf("void %ld messages have not come back\n", flying);
			wait_for_the_end();
		}
		if (!began && t > warm) {
			began = t;
			used = cpu();
			messages = 0;
			printf("measuring\n");
			fflush(stdout);
		}
		if (!took && t > load_end) {
			took = t - began;
			used = cpu() - used;
			printf("result messages=%lu ns=%ld cpu=%ld\n", (unsigned long)messages, (long)took, (long)used);
			fflush(stdout);
		}
		for (int i = 0; i < n; i++) {
			struct client *c = events[i].data.ptr;
			int came = take(c);
			flying -= came;
			messages += (uint64_t)came;
			if (!took && came) {
				put(c, came);
				flying += came;
			}
		}
	}
	printf("all back\n");
	wait_for_the_end();
}

int main(int argc, char **argv)
{
	argc_ = argc, argv_ = argv;
	const char *role = argc > 1 ? argv[1] : "";
	if (!strcmp(role, "version")) {
		int a, b, c;
		zmq_version(&a, &b, &c);
		printf("libzmq %d.%d.%d (C, gcc %s)\n", a, b, c, __VERSION__);
		return 0;
	}
	if (!strcmp(role, "load"))
		load_role();
	void *ctx = zmq_ctx_new();
	zmq_ctx_set(ctx, ZMQ_MAX_SOCKETS, 16384);
	if (!strcmp(role, "send"))
		send_role(ctx);
	if (!strcmp(role, "receive"))
		receive_role(ctx);
	if (!strcmp(role, "echo"))
		echo_role(ctx);
	if (!strcmp(role, "ask"))
		ask_role(ctx);
	if (!strcmp(role, "broker"))
		broker_role(ctx);
	if (!strcmp(role, "pub"))
		pub_role(ctx);
	if (!strcmp(role, "sub"))
		sub_role(ctx);
	fprintf(stderr, "role: version, send, receive, echo, ask, broker, pub, sub, load\n");
	return 2;
}
