#pragma once
#include <stdint.h>
// The number of blocks taken from the heap so far, by anyone in this process.
uint64_t guise_bench_allocations(void);
