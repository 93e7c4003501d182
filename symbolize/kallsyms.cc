#include "symbolize/kallsyms.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "profiler/core/status.h"
#include "profiler/core/unique_fd.h"

namespace jprof {
namespace {

constexpr size_t kBufferBytes = 64 * 1024;
// A distribution's kernel with all its modules has about 10 MB of names.
constexpr size_t kMaxTextBytes = size_t{128} << 20;

// Of a line "ffffffff81000000 T name" or "ffffffffc0000000 t name\t[module]".
struct KallsymsLine {
  uint64_t address = 0;
  char type = '\0';
  absl::string_view name;
  absl::string_view module;
};

bool ParseLine(absl::string_view line, KallsymsLine* out) {
  size_t i = 0;
  uint64_t address = 0;
  for (; i < line.size() && i < 16; ++i) {
    const char c = line[i];
    unsigned digit = static_cast<unsigned>(c - '0');
    if (digit > 9) {
      digit = static_cast<unsigned>(c - 'a') + 10;
      if (c < 'a' || c > 'f') break;
    }
    address = address << 4 | digit;
  }
  if (i == 0 || line.size() < i + 4 || line[i] != ' ' || line[i + 2] != ' ') return false;
  out->address = address;
  out->type = line[i + 1];
  absl::string_view rest = line.substr(i + 3);
  const size_t tab = rest.find('\t');
  out->name = rest.substr(0, tab);
  out->module = tab == absl::string_view::npos ? "" : rest.substr(tab + 1);
  if (out->module.size() >= 2 && out->module.front() == '[' && out->module.back() == ']') {
    out->module = out->module.substr(1, out->module.size() - 2);
  }
  return !out->name.empty();
}

// Lower is better.
int Rank(char type) {
  switch (type) {
    case 'T':
      return 0;
    case 't':
      return 1;
    case 'W':
    case 'w':
      return 2;
    default:
      return -1;
  }
}

}  // namespace

absl::StatusOr<Kallsyms> Kallsyms::Load(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return ErrnoStatus(errno, absl::StrCat("cannot open ", path));

  struct Ranked {
    Symbol symbol;
    int rank;
  };
  Kallsyms result;
  std::string& text = result.text_;
  std::vector<Ranked> symbols;
  text.push_back('\0');
  bool hidden = false;
  std::string module;  // of the symbol before: a module's symbols follow each other
  uint32_t module_offset = 0;

  auto add = [&](absl::string_view bytes) {
    KallsymsLine line;
    if (!ParseLine(bytes, &line)) return;
    const int rank = Rank(line.type);
    if (rank < 0) return;
    if (line.address == 0) {
      hidden = true;
      return;
    }
    if (line.module != module) {
      module = std::string(line.module);
      module_offset = module.empty() ? 0 : static_cast<uint32_t>(text.size());
      if (!module.empty()) absl::StrAppend(&text, module, absl::string_view("\0", 1));
    }
    symbols.push_back({{line.address, static_cast<uint32_t>(text.size()), module_offset}, rank});
    absl::StrAppend(&text, line.name, absl::string_view("\0", 1));
  };

  // The kernel hands out about one page for each read, whatever the buffer.
  std::string buffer(kBufferBytes, '\0');
  size_t used = 0;
  for (;;) {
    ssize_t got = ::read(fd.get(), buffer.data() + used, buffer.size() - used);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus(errno, absl::StrCat("cannot read ", path));
    if (got == 0) break;
    used += static_cast<size_t>(got);
    absl::string_view rest(buffer.data(), used);
    for (size_t end; (end = rest.find('\n')) != absl::string_view::npos;) {
      add(rest.substr(0, end));
      rest.remove_prefix(end + 1);
    }
    if (rest.size() == buffer.size()) rest = "";  // no line of ours is that long
    if (text.size() > kMaxTextBytes) {
      return absl::ResourceExhaustedError(
          absl::StrCat(path, ": more than ", kMaxTextBytes, " bytes of symbol names"));
    }
    std::memmove(buffer.data(), rest.data(), rest.size());
    used = rest.size();
  }
  add(absl::string_view(buffer.data(), used));

  if (symbols.empty()) {
    if (!hidden) return absl::NotFoundError(absl::StrCat(path, ": no kernel symbols"));
    return WithHint(
        absl::PermissionDeniedError(absl::StrCat(path, ": the kernel hides its addresses")),
        "CAP_SYSLOG, or: sudo sysctl kernel.kptr_restrict=0 kernel.perf_event_paranoid=1");
  }

  // The kernel proper comes sorted, its modules each for itself.
  std::stable_sort(symbols.begin(), symbols.end(), [](const Ranked& a, const Ranked& b) {
    return std::pair(a.symbol.address, a.rank) < std::pair(b.symbol.address, b.rank);
  });
  result.symbols_.reserve(symbols.size());
  for (const Ranked& s : symbols) {
    if (result.symbols_.empty() || result.symbols_.back().address != s.symbol.address) {
      result.symbols_.push_back(s.symbol);
    }
  }
  result.symbols_.shrink_to_fit();
  text.shrink_to_fit();
  return result;
}

Kallsyms::Match Kallsyms::Find(uint64_t address) const {
  auto after = std::upper_bound(symbols_.begin(), symbols_.end(), address,
                                [](uint64_t a, const Symbol& s) { return a < s.address; });
  if (after == symbols_.begin()) return {};
  const Symbol& symbol = *std::prev(after);
  if (address - symbol.address > kMaxOffset) return {};
  return {text_.c_str() + symbol.name, text_.c_str() + symbol.module, address - symbol.address,
          after != symbols_.end() && after->module == symbol.module};
}

}  // namespace jprof
