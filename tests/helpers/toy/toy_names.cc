// Symbol records of the made-up runtime: a name padded with zeros, and a line.
#include "tests/helpers/toy/toy_names.h"

#include "helpers/symbol_record.h"
#include "tests/helpers/toy/toy_layout.h"

namespace jprof::toy {
namespace {

class ToyInstance : public RuntimeInstance {
 public:
  absl::StatusOr<FrameName> Describe(std::span<const uint8_t> bytes) override {
    auto record = ParseSymbolRecord(bytes);
    if (!record.ok()) return record.status();
    FrameName result;
    result.name = record->Text(TOY_NAME);
    result.name.resize(std::min(result.name.find('\0'), result.name.size()));
    result.file = "toy.script";
    result.start_line = static_cast<uint32_t>(record->symbol.words[TOY_LINE]);
    return result;
  }
};

}  // namespace

std::unique_ptr<RuntimeInstance> MakeToyInstance() { return std::make_unique<ToyInstance>(); }

}  // namespace jprof::toy
