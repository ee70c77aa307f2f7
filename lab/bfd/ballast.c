/*
 * Makes the process that loads it as large as BALLAST says, in MiB: all of it resident, in small pages,
 * so that the kernel has as much to free at its end as after months of answers in the cache.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

__attribute__((constructor)) static void load(void)
{
	const char *text = getenv("BALLAST");
	size_t size = text ? strtoul(text, NULL, 10) << 20 : 0;
	size_t at;
	char *memory;

	if (!size)
		return;
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED) {
		perror("ballast");
		_exit(70);
	}
	madvise(memory, size, MADV_NOHUGEPAGE);
	for (at = 0; at < size; at += 4096)
		memory[at] = 1;
}
