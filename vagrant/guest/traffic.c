/* The traffic of the test guest, and its peer: one static program for both, since neither has a libc.
 *
 *   traffic send      in the guest: RTP, plain UDP and lines over TCP; IPv4 and IPv6; untagged and in VLAN 5
 *   traffic receive   in Dom0: takes all of it, and each second prints the bytes of the bulk flows
 *
 * A record begins every UDP payload (behind the RTP header) and fills every line over TCP. Its time is
 * that of CLOCK_BOOTTIME: the guest's CLOCK_MONOTONIC stands still while a checkpoint is taken.
 *
 * The guest obeys one datagram at port 9000: "bulk FLOWS BYTES_PER_SECOND"; 0 flows end it.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { RTP_PORT = 20000, PLAIN_PORT = 7000, LINES_PORT = 7001, BULK_PORT = 7100, ORDERS_PORT = 9000 };
enum { TICK_MS = 20, TICKS_A_LINE = 3, MOST_FLOWS = 64, G711 = 160 };

struct record { /* big-endian */
    char magic[4];
    uint32_t stream;
    uint64_t number;
    uint64_t sent_ns;
    char rest[40]; /* 64 bytes in all */
} __attribute__((packed));

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static struct record record(uint32_t stream, uint64_t number)
{
    struct record made = { "RNET", htobe32(stream), htobe64(number), htobe64(now_ns()), { 0 } };
    memset(made.rest, '.', sizeof made.rest);
    return made;
}

static struct sockaddr_in6 address(const char *text, int port)
{
    /* IPv4 by its mapped form: one kind of socket for both. */
    struct sockaddr_in6 made = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
    inet_pton(AF_INET6, text, &made.sin6_addr);
    return made;
}

/* Sending */

struct source { uint32_t stream; const char *to; int port; int ticks; int rtp; int fd; uint64_t number; };

static struct source datagrams[] = {
    { 1, "::ffff:10.0.0.1", RTP_PORT, 1, 1, -1, 0 },
    { 2, "fd00::1", RTP_PORT, 1, 1, -1, 0 },
    { 3, "::ffff:10.0.5.1", RTP_PORT, 1, 1, -1, 0 },
    { 4, "::ffff:10.0.0.1", PLAIN_PORT, TICKS_A_LINE, 0, -1, 0 },
};
static struct source lines[] = {
    { 11, "::ffff:10.0.0.1", LINES_PORT, TICKS_A_LINE, 0, -1, 0 },
    { 12, "fd00::1", LINES_PORT, TICKS_A_LINE, 0, -1, 0 },
    { 13, "::ffff:10.0.5.1", LINES_PORT, TICKS_A_LINE, 0, -1, 0 },
    { 14, "fd05::1", LINES_PORT, TICKS_A_LINE, 0, -1, 0 },
};
#define COUNT(array) (sizeof(array) / sizeof *(array))

static int flows[MOST_FLOWS], flow_count;
static double bytes_a_tick;
static char zeros[1 << 20];

static int connected(const char *to, int port, int kind)
{
    struct sockaddr_in6 peer = address(to, port);
    int fd = socket(AF_INET6, kind | SOCK_NONBLOCK, 0), yes = 1;
    if (kind == SOCK_STREAM)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (connect(fd, (struct sockaddr *)&peer, sizeof peer) < 0 && errno != EINPROGRESS) {
        close(fd);
        return -1;
    }
    return fd;
}

static void send_datagram(struct source *source)
{
    struct { uint8_t first, type; uint16_t sequence; uint32_t time, ssrc; struct record record; char rest[G711 - sizeof(struct record)]; }
        __attribute__((packed)) rtp;
    if (source->fd < 0 && (source->fd = connected(source->to, source->port, SOCK_DGRAM)) < 0)
        return;
    memset(&rtp, 0xd5, sizeof rtp); /* G.711 A-law silence */
    rtp.first = 0x80;
    rtp.type = 8;
    rtp.sequence = htons((uint16_t)source->number);
    rtp.time = htonl((uint32_t)source->number * 160);
    rtp.ssrc = htonl(source->stream);
    rtp.record = record(source->stream, source->number++);
    if (source->rtp)
        send(source->fd, &rtp, sizeof rtp, 0);
    else
        send(source->fd, &rtp.record, sizeof rtp.record, 0);
}

static void send_line(struct source *source)
{
    struct record line;
    if (source->fd < 0 && (source->fd = connected(source->to, source->port, SOCK_STREAM)) < 0)
        return;
    line = record(source->stream, source->number);
    ssize_t sent = send(source->fd, &line, sizeof line, MSG_NOSIGNAL);
    if (sent == sizeof line)
        source->number++;
    else if (sent >= 0 || (errno != EAGAIN && errno != ENOTCONN && errno != EINPROGRESS)) {
        close(source->fd); /* half a line, or a dead connection: begin anew */
        source->fd = -1;
    }
}

static void send_bulk(void)
{
    static double owed;
    if (!flow_count)
        return;
    owed += bytes_a_tick;
    size_t each = owed / flow_count;
    owed -= (double)each * flow_count;
    for (int i = 0; i < flow_count; i++)
        for (size_t left = each; left;) {
            ssize_t sent = send(flows[i], zeros, left < sizeof zeros ? left : sizeof zeros, MSG_NOSIGNAL);
            if (sent <= 0)
                break; /* a full socket: what was not taken is not offered again */
            left -= sent;
        }
}

static void obey(int fd)
{
    char text[64] = { 0 };
    int count, size;
    double rate;
    while (recv(fd, text, sizeof text - 1, MSG_DONTWAIT) > 0) {
        if (sscanf(text, "bulk %d %lf", &count, &rate) != 2 || count < 0 || count > MOST_FLOWS)
            continue;
        while (flow_count)
            close(flows[--flow_count]);
        bytes_a_tick = rate * TICK_MS / 1000;
        /* Room for some epochs of what is offered: a flow that waits for each commit must not end there. */
        size = 16 * 1000 * 1000 / (count > 4 ? count : 4);
        while (flow_count < count) {
            int fd = connected("::ffff:10.0.0.1", BULK_PORT, SOCK_STREAM);
            setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
            flows[flow_count++] = fd;
        }
    }
}

static int send_all(void)
{
    int timer = timerfd_create(CLOCK_BOOTTIME, 0), orders = socket(AF_INET6, SOCK_DGRAM, 0);
    struct itimerspec every = { { 0, TICK_MS * 1000000 }, { 0, TICK_MS * 1000000 } };
    struct sockaddr_in6 here = address("::", ORDERS_PORT);
    uint64_t expired, tick = 0;
    bind(orders, (struct sockaddr *)&here, sizeof here);
    timerfd_settime(timer, 0, &every, NULL);
    while (read(timer, &expired, sizeof expired) == sizeof expired) {
        obey(orders);
        /* What fell into a pause is sent at once, as a media stack with a clock of its own would. */
        for (uint64_t i = 0; i < expired; i++, tick++) {
            for (size_t k = 0; k < COUNT(datagrams); k++)
                if (tick % datagrams[k].ticks == 0)
                    send_datagram(&datagrams[k]);
            for (size_t k = 0; k < COUNT(lines); k++)
                if (tick % lines[k].ticks == 0)
                    send_line(&lines[k]);
            send_bulk();
        }
    }
    return 1;
}

/* Receiving */

static int bound(int port, int kind)
{
    struct sockaddr_in6 here = address("::", port);
    int fd = socket(AF_INET6, kind | SOCK_NONBLOCK, 0), yes = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(fd, (struct sockaddr *)&here, sizeof here) < 0 || (kind == SOCK_STREAM && listen(fd, 64) < 0)) {
        perror("traffic: bind");
        exit(1);
    }
    return fd;
}

static _Noreturn void receive_all(void)
{
    enum { LISTENERS = 4, MOST = 256 };
    static char sink[1 << 20];
    struct pollfd fds[MOST] = { { bound(RTP_PORT, SOCK_DGRAM), POLLIN, 0 },
                                { bound(PLAIN_PORT, SOCK_DGRAM), POLLIN, 0 },
                                { bound(LINES_PORT, SOCK_STREAM), POLLIN, 0 },
                                { bound(BULK_PORT, SOCK_STREAM), POLLIN, 0 } };
    char is_bulk[MOST] = { 0 };
    int count = LISTENERS;
    unsigned long long bulk = 0;
    uint64_t said = now_ns();
    for (;;) {
        poll(fds, count, 1000);
        if (now_ns() - said >= 1000000000ull) {
            struct timespec t;
            said = now_ns();
            clock_gettime(CLOCK_REALTIME, &t);
            printf("%lld.%03ld %llu\n", (long long)t.tv_sec, t.tv_nsec / 1000000, bulk);
            fflush(stdout);
        }
        for (int i = 0; i < 2; i++)
            while (recv(fds[i].fd, sink, sizeof sink, 0) >= 0)
                ;
        for (int i = 2; i < LISTENERS; i++) {
            int fd = accept4(fds[i].fd, NULL, NULL, SOCK_NONBLOCK);
            if (fd >= 0 && count == MOST)
                close(fd);
            else if (fd >= 0) {
                is_bulk[count] = i == 3;
                fds[count++] = (struct pollfd){ fd, POLLIN, 0 };
            }
        }
        for (int i = LISTENERS; i < count; i++) {
            ssize_t got = fds[i].revents ? recv(fds[i].fd, sink, sizeof sink, 0) : -1;
            if (got > 0 && is_bulk[i])
                bulk += got;
            if (got == 0 || (got < 0 && fds[i].revents && errno != EAGAIN)) {
                close(fds[i].fd);
                fds[i] = fds[--count];
                is_bulk[i] = is_bulk[count];
                fds[i--].revents = 0;
            }
        }
    }
}

int main(int count, char **arguments)
{
    signal(SIGPIPE, SIG_IGN);
    if (count == 2 && !strcmp(arguments[1], "send"))
        return send_all();
    if (count == 2 && !strcmp(arguments[1], "receive"))
        receive_all();
    fputs("usage: traffic send | receive\n", stderr);
    return 2;
}
