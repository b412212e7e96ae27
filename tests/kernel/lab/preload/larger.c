/*
 * A host whose XSAVE area is larger than it is: what a processor with AMX looks like to a tracer.
 * Preloaded into linux.uml, after the shim where there is one, by the tests of the shim.
 *
 * PTRACE_GETREGSET has an area of SIZE bytes (more than the host's): the host's own, zeros, and in
 * the last 8 bytes the process's number. Bit 18 of XSTATE_BV (AMX's tiles) is set in each other
 * process. PTRACE_SETREGSET refuses what is shorter (EFAULT), as Linux does; if that bit or those
 * bytes have become those of another process, it says so and aborts.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef SIZE
#error "compile with -DSIZE=BYTES"
#endif

enum { XSTATE_BV = 512 };

static const uint64_t tiles = 1 << 18;

typedef long ptrace_function(enum __ptrace_request, ...);

static char host[SIZE], whole[SIZE];

static void lay_out(pid_t pid)
{
	uint64_t number = pid, bits;

	memcpy(whole, host, SIZE);
	memcpy(&bits, whole + XSTATE_BV, sizeof bits);
	bits |= pid % 2 ? tiles : 0;
	memcpy(whole + XSTATE_BV, &bits, sizeof bits);
	memcpy(whole + SIZE - sizeof number, &number, sizeof number);
}

static void compare(pid_t pid, const char *given)
{
	static const char corrupt[] = "larger: the shim wrote one process's registers to another\n";
	uint64_t number, bits;

	memcpy(&bits, given + XSTATE_BV, sizeof bits);
	memcpy(&number, given + SIZE - sizeof number, sizeof number);
	if (number != (uint64_t)pid || !(bits & tiles) != !(pid % 2)) {
		(void)!write(STDERR_FILENO, corrupt, sizeof corrupt - 1);
		abort();
	}
}

long ptrace(enum __ptrace_request request, ...)
{
	ptrace_function *real = (ptrace_function *)dlsym(RTLD_NEXT, "ptrace");
	struct iovec area = { host, SIZE }, *given;
	uint64_t bits;
	va_list arguments;
	pid_t pid;
	void *address, *data;
	long done;

	va_start(arguments, request);
	pid = va_arg(arguments, pid_t);
	address = va_arg(arguments, void *);
	data = va_arg(arguments, void *);
	va_end(arguments);
	if ((request != PTRACE_GETREGSET && request != PTRACE_SETREGSET) ||
	    (uintptr_t)address != NT_X86_XSTATE)
		return real(request, pid, address, data);

	given = data;
	memset(host, 0, SIZE);
	done = real(PTRACE_GETREGSET, pid, address, &area);
	if (done < 0)
		return done;
	if (request == PTRACE_GETREGSET) {
		lay_out(pid);
		if (given->iov_len > SIZE)
			given->iov_len = SIZE;
		memcpy(given->iov_base, whole, given->iov_len);
		return 0;
	}
	if (given->iov_len < SIZE) {
		errno = EFAULT;
		return -1;
	}
	compare(pid, given->iov_base);
	memcpy(host, given->iov_base, area.iov_len);
	memcpy(&bits, host + XSTATE_BV, sizeof bits);
	bits &= ~tiles;
	memcpy(host + XSTATE_BV, &bits, sizeof bits);
	return real(PTRACE_SETREGSET, pid, address, &area);
}
