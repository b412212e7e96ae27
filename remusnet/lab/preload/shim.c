/*
 * Lets a UML kernel older than 6.13 run on a processor with AMX. Preloaded into linux.uml.
 *
 * Such a kernel keeps the extended registers of a process in 2,696 bytes. It reads them with
 * PTRACE_GETREGSET, which fills any buffer, and writes them back with PTRACE_SETREGSET, which the
 * host refuses (EFAULT) unless it gets its whole XSAVE area: 11,008 bytes with AMX. So this reads
 * the whole area, puts into it those components that the kernel has in full, and writes it back.
 * The others stay as the host has them, their bits in XSTATE_BV included. Nobody misses them: a
 * process in UML can't ask for AMX, since UML doesn't know arch_prctl's ARCH_REQ_XCOMP_PERM.
 *
 * The layout is that of the standard format (Intel SDM volume 1, section 13.4; CPUID leaf 0xD).
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef LIMIT /* bytes of the largest area that this handles; xstate.py says how many */
#error "compile with -DLIMIT=BYTES"
#endif

#ifndef COMPONENTS /* a test of the test says 2: then it writes back no more than SSE */
#define COMPONENTS 63
#endif

enum { LEGACY = 512, HEADER = 64, FIRST = 2 };

/* glibc promises RTLD_NEXT's functions the types of their declarations. */
typedef long ptrace_function(enum __ptrace_request, ...);

static struct {
	size_t offset, size; /* size 0: the processor doesn't have it in an area of this format */
} components[COMPONENTS];

static ptrace_function *host_ptrace;

__attribute__((constructor)) static void look_around(void)
{
	host_ptrace = (ptrace_function *)dlsym(RTLD_NEXT, "ptrace");
	for (unsigned number = FIRST; number < COMPONENTS; number++) {
		unsigned size, offset, flags, reserved;

		/* Bit 0 of ECX: a supervisor component, which no process sees. */
		if (__get_cpuid_count(0xd, number, &size, &offset, &flags, &reserved) && !(flags & 1)) {
			components[number].offset = offset;
			components[number].size = size;
		}
	}
}

/* Put into `whole` what the `length` bytes of `part` have in full. */
static void merge(char *whole, size_t area, const char *part, size_t length)
{
	uint64_t theirs, ours, full = (1 << FIRST) - 1; /* x87 and SSE: the legacy region */

	memcpy(&theirs, part + LEGACY, sizeof theirs);
	memcpy(&ours, whole + LEGACY, sizeof ours);
	memcpy(whole, part, LEGACY);
	for (unsigned number = FIRST; number < COMPONENTS; number++) {
		size_t offset = components[number].offset, size = components[number].size;

		if (size && offset + size <= length && offset + size <= area) {
			memcpy(whole + offset, part + offset, size);
			full |= (uint64_t)1 << number;
		}
	}
	ours = (ours & ~full) | (theirs & full);
	memcpy(whole + LEGACY, &ours, sizeof ours);
}

static long set_whole(pid_t pid, void *set, const struct iovec *part, struct iovec whole)
{
	static const char too_large[] = "xstate: the host's XSAVE area is larger than the lab's shim handles\n";
	long done = host_ptrace(PTRACE_GETREGSET, pid, set, &whole);

	if (done < 0)
		return done;
	if (whole.iov_len >= LIMIT) { /* full: there may be more of it */
		(void)!write(STDERR_FILENO, too_large, sizeof too_large - 1);
		errno = EFAULT;
		return -1;
	}
	merge(whole.iov_base, whole.iov_len, part->iov_base, part->iov_len);
	return host_ptrace(PTRACE_SETREGSET, pid, set, &whole);
}

static long set_xstate(pid_t pid, void *set, const struct iovec *part)
{
	/* Not on the stack: a UML kernel's has 16 KB. Pages that nothing is read into cost nothing. */
	static char buffer[LIMIT] __attribute__((aligned(64)));
	static atomic_flag taken = ATOMIC_FLAG_INIT;
	struct iovec whole = { buffer, LIMIT };
	bool own = atomic_flag_test_and_set(&taken); /* by another thread, or by what a signal broke */
	int error;
	long done;

	if (own) {
		whole.iov_base = mmap(NULL, LIMIT, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (whole.iov_base == MAP_FAILED)
			return -1;
	}
	done = set_whole(pid, set, part, whole);
	error = errno;
	if (own)
		munmap(whole.iov_base, LIMIT);
	else
		atomic_flag_clear(&taken);
	errno = error;
	return done;
}

long ptrace(enum __ptrace_request request, ...)
{
	va_list arguments;
	pid_t pid;
	void *address, *data;

	va_start(arguments, request);
	pid = va_arg(arguments, pid_t);
	address = va_arg(arguments, void *);
	data = va_arg(arguments, void *);
	va_end(arguments);
	if (request == PTRACE_SETREGSET && (uintptr_t)address == NT_X86_XSTATE) {
		const struct iovec *part = data;

		if (part->iov_len >= LEGACY + HEADER)
			return set_xstate(pid, address, part);
	}
	return host_ptrace(request, pid, address, data);
}
