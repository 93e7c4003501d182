#include "export/figures.h"

#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace jprof {

std::string Grouped(int64_t n) {
  std::string digits = absl::StrCat(n);
  std::string out;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) out += ',';
    out += digits[i];
  }
  return out;
}

int64_t Scale(int64_t part, int64_t whole, int64_t to) {
  if (whole <= 0) return 0;
  return static_cast<int64_t>((static_cast<__int128>(part) * to + whole / 2) / whole);
}

std::string Percent(int64_t part, int64_t whole) {
  int64_t hundredths = Scale(part, whole, 10000);
  return absl::StrFormat("%d.%02d%%", hundredths / 100, hundredths % 100);
}

std::string ShortPercent(int64_t part, int64_t whole) {
  int64_t tenths = Scale(part, whole, 1000);
  return absl::StrFormat("%d.%d%%", tenths / 10, tenths % 10);
}

std::string SignedPercent(int64_t hundredths) {
  const int64_t size = std::abs(hundredths);
  return absl::StrFormat("%c%d.%02d%%", hundredths < 0 ? '-' : '+', size / 100, size % 100);
}

std::string MoreComments(size_t count) {
  return absl::StrCat(count, count == 1 ? " more comment" : " more comments");
}

}  // namespace jprof
