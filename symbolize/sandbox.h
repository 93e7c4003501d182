// A process that is to read foreign files gives up everything else.
#pragma once

#include <cstdint>
#include <string>

namespace jprof {

// What is given up.
enum SandboxPart : uint32_t {
  kSandboxPrivileges = 1,  // capabilities, and the way to get some
  kSandboxResources = 2,   // core files, new processes, descriptors, large files
  kSandboxMemory = 4,      // address space
  kSandboxCalls = 8,       // system calls
};
inline constexpr uint32_t kWholeSandbox =
    kSandboxPrivileges | kSandboxResources | kSandboxMemory | kSandboxCalls;

// "no privileges, bounded memory; not: few system calls (seccomp)".
std::string SandboxText(uint32_t parts);

// For good, of the calling process, which has one thread: all capabilities, and the way to get
// some; core files, new processes, all but 64 descriptors, address space beyond `memory_bytes`; all
// system calls but those for memory, for what is open already, for clocks and for its own end:
// another one kills it (SIGSYS). Memory cannot be made executable any more.
//
// What cannot be given up is no reason to read nothing: each of these stands for itself, and a
// kernel without seccomp leaves the others. Returns the parts that took effect.
uint32_t GiveUpEverything(uint64_t memory_bytes);

// What would take effect here, tried in a process of its own.
uint32_t TrySandbox();

}  // namespace jprof
