// The user-space side of a runtime helper. A runtime is one folder with four files; this is what
// two of them implement (NAME_probe.cc and NAME_names.cc). helpers/README.md has the recipe.
//
// Three lifetimes: a Runtime is static; a RuntimeImage says what is true of one *binary* that holds
// the runtime, whichever process maps it; a RuntimeInstance is one *process* that uses it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "helpers/abi/native_walk.h"
#include "profiler/core/address.h"
#include "profiler/core/frame.h"
#include "profiler/process/memory_reader.h"
#include "symbolize/elf_file.h"

namespace jprof {

// Half-open range of offsets in a file.
struct FileRange {
  FileOffset begin;
  FileOffset end;
};

// A number that a layout was made of, for people who ask where jprof has it from.
struct LayoutFact {
  enum class Source : uint8_t {
    kSymbol,   // a symbol of the binary
    kDerived,  // found in the binary's content, and checked there
    kTable,    // jprof's own table, by the exact version
  };
  std::string name;
  int64_t value = 0;
  Source source = Source::kTable;
};

// A function of the runtime's own that the file has no symbol for.
struct NamedCode {
  FileRange code;
  std::string symbol;  // what its symbol would be
};

struct RuntimeImage {
  std::string version;                 // for people: "V8 11.3.244.8"
  std::vector<std::byte> layout;       // the runtime's layout struct; at most JP_LAYOUT_BYTES
  std::vector<std::byte> user_layout;  // a struct of its own, for Attach() alone; may be empty
  std::vector<FileRange> code;         // its own code in the image: the helper is asked about it
  std::vector<FileRange> plumbing;     // of it: what is left out where no symbol says what it is
  std::vector<NamedCode> named_code;   // of it, by address
  bool owns_anonymous_code = false;    // executable memory of no file belongs to it
  bool is_partial = false;             // not all can be read that is read of other builds: lines
  std::vector<LayoutFact> facts;       // what the layouts were made of

  // Filled by RuntimeTable: what it takes to run the helper natively, outside a sample.
  decltype(&jp_native_walk) native_walk = nullptr;
  uint8_t number = 0;  // of the runtime in its set
};

// Where a function is in a script, for the script's source map. 1-based, columns in UTF-16 units.
struct ScriptPlace {
  uint32_t script = 0;  // for RuntimeInstance::SourceMapUrl(); 0: not known, and so is the rest
  uint32_t column = 0;  // where it begins, in FrameName::start_line
  // Of the identifier that it has its name from; 0: not known.
  uint32_t name_line = 0;
  uint32_t name_column = 0;

  friend bool operator==(const ScriptPlace&, const ScriptPlace&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const ScriptPlace& p) {
    return H::combine(std::move(h), p.script, p.column, p.name_line, p.name_column);
  }
};

// A frame's name as the pictures show it.
struct FrameName {
  std::string name;
  std::string file;         // script or source, "" where not known
  uint32_t start_line = 0;  // 1-based, 0 where not known
  FrameKind kind = FrameKind::kScript;
  ScriptPlace place;        // once WantScriptPlaces() was called
};

// One of the functions that a frame stands for, and where it executes.
struct FrameLine {
  FrameName function;
  uint32_t line = 0;    // 1-based, 0 where not known
  uint32_t column = 0;  // 1-based, 0 where not known
};

// One process. Called from the pipeline's thread only; may keep caches, bounded.
class RuntimeInstance {
 public:
  virtual ~RuntimeInstance() = default;
  // The name in a symbol record of this process: a struct jp_symbol and its text. DataLoss: the
  // record is damaged. Reads the process's memory for what the record leaves out (lines). A name of
  // kind kUnknown stands for code whose function Locate() alone can tell; an empty name is plumbing
  // that is left out of the picture.
  virtual absl::StatusOr<FrameName> Describe(std::span<const uint8_t> record) = 0;

  // Where a frame of a function described before executes, and the functions inlined there:
  // innermost first, the function of the frame's symbol last. Empty: nothing but its name is known.
  // The caller believes it for a second; for some, if it is what was said before and the symbol
  // tells the function.
  virtual std::vector<FrameLine> Locate(const RawFrame& frame) {
    static_cast<void>(frame);
    return {};
  }

  // From now on functions have their ScriptPlace, which takes more reads of the process's memory.
  virtual void WantScriptPlaces() {}
  // What a script says at its end of where its source map is: any URL, perhaps a data: URL of
  // megabytes;
  // "": nothing. To be asked once, it may be forgotten then.
  virtual std::string SourceMapUrl(uint32_t script) {
    static_cast<void>(script);
    return "";
  }

  // The present values of a stack's function's parameters. `identity`: of the frame's symbol;
  // `memory`: as it was when the stack was walked. nullopt: not known.
  virtual std::optional<std::vector<FrameArgument>> Arguments(const MemoryReader& memory,
                                                              uint64_t identity, Address fp) {
    static_cast<void>(memory), static_cast<void>(identity), static_cast<void>(fp);
    return std::nullopt;
  }

  // How the runtime itself marks the kind of code that a frame runs, one character. 0: not known.
  virtual char Tier(const RawFrame& frame) {
    static_cast<void>(frame);
    return 0;
  }

  // What the code at an address in anonymous memory is, where the helper had no function to name:
  // code that the runtime made for other ends. nullopt: not the runtime's, or not known.
  virtual std::optional<FrameName> NameCode(Address address) {
    static_cast<void>(address);
    return std::nullopt;
  }
};

// What a look at live memory says of a layout.
enum class Fit {
  kUnseen,      // nothing was met that tells
  kFits,        // several objects read as the layout says
  kDoesNotFit,  // several objects contradict it, and none fits
};

class Runtime {
 public:
  virtual ~Runtime() = default;
  virtual absl::string_view name() const = 0;

  // nullopt: the image does not hold this runtime. FailedPrecondition: it does, but in a version or
  // build that the helper cannot read; the message says which.
  virtual absl::StatusOr<std::optional<RuntimeImage>> Probe(const ElfFile& image) const = 0;

  // `memory` outlives the instance.
  virtual std::unique_ptr<RuntimeInstance> Attach(const RuntimeImage& image,
                                                  const MemoryReader& memory) const = 0;

  // Looks at a process that uses the image. `stack`: of its main thread, in use or not. Takes some
  // milliseconds at most.
  virtual Fit Check(const RuntimeImage& image, const MemoryReader& memory,
                    AddressRange stack) const {
    static_cast<void>(image), static_cast<void>(memory), static_cast<void>(stack);
    return Fit::kUnseen;
  }

  // What to show for a kBuiltin frame, given the symbol that covers it in the image. nullopt: the
  // frame is plumbing of the runtime and is left out of the picture.
  virtual std::optional<FrameName> DescribeBuiltin(absl::string_view symbol) const = 0;
};

// The runtimes that are built in, made by jprof_runtime_set() in CMake: their user-space sides, the
// BPF object and the native walk that were compiled from the same list. A runtime's number is its
// index + 1.
struct RuntimeSet {
  std::vector<const Runtime*> runtimes;
  absl::string_view bpf_object;
  decltype(&jp_native_walk) native_walk = nullptr;

  const Runtime* ByNumber(uint8_t number) const {
    return number == 0 || number > runtimes.size() ? nullptr : runtimes[number - 1];
  }
};

}  // namespace jprof
