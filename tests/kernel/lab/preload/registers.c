/*
 * Do a process's extended registers survive a switch to another? A program for inside a lab.
 *
 * Some processes, of some threads each (a UML kernel gives each process a process of the host, which
 * its threads take in turns), fill all vector registers and masks with what only they know, give the
 * processor away (sched_yield), and look again, some hundred times. Prints what the processor has
 * ("avx512", "avx" or "sse"); ends with 1 and the register's number if one has changed. Instead, with
 * the argument "amx" it executes one instruction of AMX, for which nobody has asked; with "area" it
 * prints the bytes of the XSAVE area with all that the host's kernel has enabled (CPUID leaf 0xD).
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PROCESSES = 2, THREADS = 2, ROUNDS = 200, VECTORS = 32 * 64, MASKS = 8 * 8 };

/* All in one block, so that the compiler uses no register between the load and the store. */
#define YIELD "mov $24, %%eax\n syscall\n"
#define USED "rax", "rcx", "r11", "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", \
	"xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15"
#define EACH_8(X, R) X(R, 0) X(R, 1) X(R, 2) X(R, 3) X(R, 4) X(R, 5) X(R, 6) X(R, 7)
#define EACH_16(X, R) EACH_8(X, R) X(R, 8) X(R, 9) X(R, 10) X(R, 11) X(R, 12) X(R, 13) X(R, 14) X(R, 15)
#define EACH_32(X, R) \
	EACH_16(X, R) X(R, 16) X(R, 17) X(R, 18) X(R, 19) X(R, 20) X(R, 21) X(R, 22) X(R, 23) \
	X(R, 24) X(R, 25) X(R, 26) X(R, 27) X(R, 28) X(R, 29) X(R, 30) X(R, 31)
#define LOAD_ZMM(R, N) "vmovdqu64 " #N "*64(%0), %%zmm" #N "\n"
#define SAVE_ZMM(R, N) "vmovdqu64 %%zmm" #N ", " #N "*64(%1)\n"
#define LOAD_K(R, N) "kmovw 2048+" #N "*8(%0), %%k" #N "\n"
#define SAVE_K(R, N) "kmovw %%k" #N ", 2048+" #N "*8(%1)\n"
#define LOAD_YMM(R, N) "vmovdqu " #N "*64(%0), %%ymm" #N "\n"
#define SAVE_YMM(R, N) "vmovdqu %%ymm" #N ", " #N "*64(%1)\n"
#define LOAD_XMM(R, N) "movdqu " #N "*64(%0), %%xmm" #N "\n"
#define SAVE_XMM(R, N) "movdqu %%xmm" #N ", " #N "*64(%1)\n"

static void avx512(const char *given, char *seen)
{
	__asm__ volatile(EACH_32(LOAD_ZMM, ) EACH_8(LOAD_K, ) YIELD EACH_32(SAVE_ZMM, ) EACH_8(SAVE_K, )
			 :: "D"(given), "S"(seen) : USED);
}

static void avx(const char *given, char *seen)
{
	__asm__ volatile(EACH_16(LOAD_YMM, ) YIELD EACH_16(SAVE_YMM, ) :: "D"(given), "S"(seen) : USED);
}

static void sse(const char *given, char *seen)
{
	__asm__ volatile(EACH_16(LOAD_XMM, ) YIELD EACH_16(SAVE_XMM, ) :: "D"(given), "S"(seen) : USED);
}

static const struct kind {
	const char *name;
	void (*through)(const char *given, char *seen);
	int registers, bytes, masks;
} kinds[] = { { "avx512", avx512, 32, 64, 8 }, { "avx", avx, 16, 32, 0 }, { "sse", sse, 16, 16, 0 } };

static const struct kind *kind; /* that of this processor */

/* `seed`: a number; comes back as NULL if all registers kept what they got. */
static void *rounds(void *seed)
{
	char given[VECTORS + MASKS], seen[VECTORS + MASKS];
	uint64_t state = (uintptr_t)seed;

	for (int round = 0; round < ROUNDS; round++) {
		for (unsigned place = 0; place < sizeof given; place++) {
			state = state * 6364136223846793005 + 1442695040888963407; /* Knuth's, from MMIX */
			given[place] = state >> 56;
		}
		memset(seen, 0, sizeof seen);
		kind->through(given, seen);
		for (int number = 0; number < kind->registers; number++)
			if (memcmp(given + number * 64, seen + number * 64, kind->bytes)) {
				fprintf(stderr, "round %d: vector register %d changed\n", round, number);
				return seed;
			}
		for (int number = 0; number < kind->masks; number++)
			if (memcmp(given + VECTORS + number * 8, seen + VECTORS + number * 8, 2)) {
				fprintf(stderr, "round %d: mask register %d changed\n", round, number);
				return seed;
			}
	}
	return NULL;
}

static int threads(int process)
{
	pthread_t made[THREADS];
	void *changed;
	int failed = 0;

	for (int number = 0; number < THREADS; number++)
		if (pthread_create(made + number, NULL, rounds, (void *)(uintptr_t)(process * THREADS + number + 1)))
			return 2;
	for (int number = 0; number < THREADS; number++)
		failed |= pthread_join(made[number], &changed) || changed;
	return failed;
}

int main(int count, char **arguments)
{
	int failed = 0, status;

	if (count > 1 && !strcmp(arguments[1], "amx")) {
		__asm__ volatile(".byte 0xc4, 0xe2, 0x7b, 0x49, 0xc0"); /* tilezero tmm0 */
		puts("executed");
		return 0;
	}
	if (count > 1 && !strcmp(arguments[1], "area")) {
		unsigned eax, ebx, ecx, edx;

		if (!__get_cpuid_count(0xd, 0, &eax, &ebx, &ecx, &edx))
			return 2;
		printf("%u\n", ebx);
		return 0;
	}
	kind = kinds + (__builtin_cpu_supports("avx512f") ? 0 : __builtin_cpu_supports("avx") ? 1 : 2);
	for (int number = 0; number < PROCESSES; number++)
		if (!fork())
			_exit(threads(number));
	while (wait(&status) > 0)
		failed |= status != 0;
	puts(kind->name);
	return failed;
}
