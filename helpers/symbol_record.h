// Reads the symbol records that helpers write (helpers/abi/records.h). The records come from the
// kernel half, but their text comes from the target: any bytes.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "helpers/abi/records.h"

namespace jprof {

struct SymbolRecord {
  jp_symbol symbol;
  std::span<const uint8_t> text;  // within the record's bytes

  // All chunks of a field, in UTF-8. An unpaired surrogate becomes U+FFFD; text that was UTF-8
  // already is passed on as it is. Ends in U+2026 where the record says that something was cut.
  std::string Text(uint8_t field) const;
};

// An unpaired surrogate becomes U+FFFD.
std::string Utf16ToUtf8(std::u16string_view text);

// DataLoss: sizes or chunks that do not fit.
absl::StatusOr<SymbolRecord> ParseSymbolRecord(std::span<const uint8_t> bytes);

}  // namespace jprof
