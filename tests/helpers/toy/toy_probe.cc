// Recognises the made-up runtime by the two symbols that it exports.
#include <cstring>

#include "helpers/runtime.h"
#include "tests/helpers/toy/toy_layout.h"
#include "tests/helpers/toy/toy_names.h"

namespace jprof::toy {
namespace {

class ToyRuntime : public Runtime {
 public:
  absl::string_view name() const override { return "toy"; }

  absl::StatusOr<std::optional<RuntimeImage>> Probe(const ElfFile& image) const override {
    jp_toy_layout layout = {};
    RuntimeImage result;
    auto status = image.ForEachSymbol(ElfFile::Table::kSymtab, [&](const ElfFile::Symbol& s) {
      if (s.name == "toy_runtime_state") layout.state = s.address.value;
      if (s.name == "toy_call") {
        if (auto begin = image.ToFileOffset(s.address)) {
          result.code.push_back({*begin, FileOffset{begin->value + s.size}});
        }
      }
      return true;
    });
    if (!status.ok() || layout.state == 0 || result.code.empty()) {
      return std::optional<RuntimeImage>();
    }
    result.version = "toy 1";
    result.layout.resize(sizeof(layout));
    std::memcpy(result.layout.data(), &layout, sizeof(layout));
    return std::optional<RuntimeImage>(std::move(result));
  }

  std::unique_ptr<RuntimeInstance> Attach(const RuntimeImage&, const MemoryReader&) const override {
    return MakeToyInstance();
  }

  std::optional<FrameName> DescribeBuiltin(absl::string_view symbol) const override {
    return FrameName{.name = std::string(symbol), .kind = FrameKind::kBuiltin};
  }
};

}  // namespace

const Runtime& GetRuntime() {
  static const ToyRuntime& runtime = *new ToyRuntime;
  return runtime;
}

}  // namespace jprof::toy
