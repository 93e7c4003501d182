#include "profiler/process/proc_maps.h"

#include <charconv>
#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "profiler/core/status.h"
#include "profiler/process/proc_status.h"

namespace jprof {
namespace {

// 65,530 mappings (the kernel's default limit) with the longest possible names.
constexpr size_t kMaxMapsBytes = size_t{300} << 20;

class Cursor {
 public:
  explicit Cursor(absl::string_view text) : text_(text) {}

  template <typename T>
  bool Number(T& value, int base) {
    auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), value, base);
    if (error != std::errc()) return false;
    text_.remove_prefix(static_cast<size_t>(end - text_.data()));
    return true;
  }
  bool Char(char expected) {
    if (text_.empty() || text_[0] != expected) return false;
    text_.remove_prefix(1);
    return true;
  }
  // One of two characters; true in `is_first` for the first of them.
  bool Flag(char first, char second, bool& is_first) {
    if (text_.empty() || (text_[0] != first && text_[0] != second)) return false;
    is_first = text_[0] == first;
    text_.remove_prefix(1);
    return true;
  }
  void SkipSpaces() {
    while (Char(' ')) {
    }
  }
  absl::string_view rest() const { return text_; }

 private:
  absl::string_view text_;
};

// 7f0c-7f0d r-xp 00001000 fe:01 1234      /some path
bool ParseLine(absl::string_view line, ProcMapping& m) {
  Cursor c(line);
  if (!(c.Number(m.range.begin.value, 16) && c.Char('-') && c.Number(m.range.end.value, 16) &&
        c.Char(' ') && c.Flag('r', '-', m.readable) && c.Flag('w', '-', m.writable) &&
        c.Flag('x', '-', m.executable) && c.Flag('s', 'p', m.shared) && c.Char(' ') &&
        c.Number(m.offset.value, 16) && c.Char(' ') && c.Number(m.file.device_major, 16) &&
        c.Char(':') && c.Number(m.file.device_minor, 16) && c.Char(' ') &&
        c.Number(m.file.inode, 10))) {
    return false;
  }
  if (!c.rest().empty() && !c.Char(' ')) return false;
  c.SkipSpaces();
  m.path.assign(c.rest().data(), c.rest().size());
  if (!m.file.valid()) {
    m.offset = {};
    m.file = {};
  }
  return !m.range.empty();
}

}  // namespace

absl::StatusOr<std::vector<ProcMapping>> ParseProcMaps(absl::string_view text) {
  std::vector<ProcMapping> mappings;
  size_t line_number = 0;
  while (!text.empty()) {
    ++line_number;
    size_t end = text.find('\n');
    absl::string_view line = text.substr(0, end);
    text.remove_prefix(end == absl::string_view::npos ? text.size() : end + 1);
    ProcMapping mapping;
    if (!ParseLine(line, mapping)) {
      return absl::DataLossError(absl::StrCat("line ", line_number, " is no mapping"));
    }
    mappings.push_back(std::move(mapping));
  }
  return mappings;
}

absl::StatusOr<std::string> ReadProcMapsText(Pid pid) {
  JPROF_ASSIGN_OR_RETURN(std::string text,
                         ReadProcFile(absl::StrCat("/proc/", pid, "/maps"), kMaxMapsBytes));
  if (!text.empty()) return text;
  const absl::StatusOr<Tid> living = LivingThread(pid);
  if (!living.ok() || *living == pid) return text;
  return ReadProcFile(absl::StrCat("/proc/", *living, "/maps"), kMaxMapsBytes);
}

absl::StatusOr<std::vector<ProcMapping>> ReadProcMaps(Pid pid) {
  JPROF_ASSIGN_OR_RETURN(const std::string text, ReadProcMapsText(pid));
  absl::StatusOr<std::vector<ProcMapping>> mappings = ParseProcMaps(text);
  if (!mappings.ok()) return Annotate(mappings.status(), absl::StrCat("/proc/", pid, "/maps"));
  return mappings;
}

}  // namespace jprof
