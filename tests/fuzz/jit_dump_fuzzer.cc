// Any bytes as a jitdump, read in one piece and in two. What there is at an address at a time is
// the same, and the names and files that are found lie within the budgets.
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <utility>

#include "absl/strings/string_view.h"
#include "helpers/perfmap/jit_dump.h"
#include "helpers/perfmap/jit_name.h"

namespace jprof {
namespace {

constexpr uint64_t kNow = uint64_t{1} << 62;

void Require(bool condition) {
  if (!condition) std::abort();
}

class Dump {
 public:
  Dump() : fd_(::memfd_create("dump", MFD_CLOEXEC)) {
    JitDumpOptions options;
    options.max_records = 1000;
    options.max_lines = 1000;
    options.max_name_bytes = 1 << 16;
    auto dump = JitDump::OpenFile(UniqueFd(::dup(fd_.get())), "fuzz", options);
    Require(dump.ok());
    dump_.emplace(*std::move(dump));
  }
  void Append(const uint8_t* data, size_t size) {
    Require(::write(fd_.get(), data, size) == static_cast<ssize_t>(size));
    ok_ = dump_->Update(kNow).ok();
  }
  const JitDump& dump() const { return *dump_; }
  bool ok() const { return ok_; }

 private:
  UniqueFd fd_;
  std::optional<JitDump> dump_;
  bool ok_ = true;
};

bool Same(const std::optional<JitDumpReplay::Code>& a,
          const std::optional<JitDumpReplay::Code>& b) {
  if (!a || !b) return !a && !b;
  return a->name == b->name && a->file == b->file && a->line == b->line && a->column == b->column;
}

}  // namespace
}  // namespace jprof

// The first byte chooses where the file is cut in two.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace jprof;
  if (size == 0) return 0;
  Dump whole, pieces;
  const size_t cut = 1 + (size - 1) * data[0] / 256;
  whole.Append(data + 1, size - 1);
  pieces.Append(data + 1, cut - 1);
  pieces.Append(data + cut, size - cut);
  Require(whole.ok() == pieces.ok());
  const JitDump::Counters& a = whole.dump().counters();
  const JitDump::Counters& b = pieces.dump().counters();
  Require(a.records == b.records && a.loads == b.loads && a.moves == b.moves);
  Require(a.malformed == b.malformed && a.unknown == b.unknown);
  Require(a.loads + a.moves <= 1000);
  Require(whole.dump().Trouble() == pieces.dump().Trouble());

  JitDumpReplay first(whole.dump()), second(pieces.dump());
  for (uint64_t time : {uint64_t{0}, uint64_t{10}, uint64_t{0x1000}, kNow, UINT64_MAX}) {
    first.AdvanceTo(time);
    second.AdvanceTo(time);
    for (uint64_t base : {uint64_t{0x1000}, uint64_t{0x2000}, ~uint64_t{0xff}}) {
      for (uint64_t i = 0; i < 64; ++i) {
        const auto found = first.Find({base + i});
        Require(Same(found, second.Find({base + i})));
        if (found) ParseJitName(found->name);
      }
    }
  }
  ParseJitName({reinterpret_cast<const char*>(data), size});
  return 0;
}
