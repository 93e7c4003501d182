// A process that is to read foreign files gives up everything else.
#pragma once

#include <cstdint>

namespace jprof {

// For good, of the calling process, which has one thread: all capabilities, and the way to get some;
// core files, new processes, all but 64 descriptors, address space beyond `memory_bytes`; all system
// calls but those for memory, for what is open already, for clocks and for its own end: another one
// kills it (SIGSYS). Memory cannot be made executable any more.
//
// What cannot be given up is no reason to read nothing: each of these stands for itself, and a kernel
// without seccomp leaves the others.
void GiveUpEverything(uint64_t memory_bytes);

}  // namespace jprof
