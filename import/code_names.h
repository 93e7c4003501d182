// Names for code of which a profile has nothing but addresses. Handed to the readers, which open no
// files themselves: tests and fuzzers name nothing.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "profiler/core/ids.h"

namespace jprof {

class CodeNames {
 public:
  struct Frame {
    std::string name;  // never ""
    std::string system_name;
    std::string file;
    uint32_t start_line = 0;
    uint32_t line = 0;
    uint32_t column = 0;
  };
  // A mapped file, as it was when the profile was taken.
  struct Image {
    std::string path;
    std::string build_id;           // lower-case hex; "": not known
    uint64_t inode = 0;             // 0: not known
    std::vector<uint64_t> offsets;  // in the file; sorted, distinct

    std::vector<std::vector<Frame>> frames;  // out, by offset: innermost first; empty: no name
    std::string why;                         // out: names are missing because; "" if none is
  };
  struct Kernel {
    std::string build_id;
    std::string symbol;  // one of its symbols, and where it was; "": not known
    uint64_t symbol_address = 0;
    std::vector<uint64_t> addresses;

    std::vector<std::string> names;    // out, by address; "": none
    std::vector<std::string> modules;  // out, the same; "": the kernel proper
    std::string why;
  };

  // Code of a process that is in no file: what the process itself told of it.
  struct Jit {
    Pid pid = 0;
    uint64_t age_ns = 0;  // at the end of the recording; 0: it is older than the recording
    std::vector<uint64_t> addresses;

    std::vector<std::string> names;  // out, by address: as the process wrote them; "": none
    std::string why;
  };

  virtual ~CodeNames() = default;
  virtual void Name(std::vector<Image>& images) = 0;
  virtual void Name(Kernel& kernel) = 0;
  virtual void Name(Jit& code) = 0;
};

}  // namespace jprof
