#include "helpers/perfmap/jit_dump.h"

#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "helpers/perfmap/jit_name.h"
#include "profiler/core/status.h"
#include "profiler/process/proc_status.h"
#include "profiler/process/target_file.h"

namespace jprof {
namespace {

constexpr uint32_t kMagic = 0x4a695444;  // "JiTD"
constexpr uint32_t kForeignMagic = 0x4454694a;
constexpr uint32_t kVersion = 1;
constexpr uint64_t kFlagArchTimes = 1;
constexpr size_t kHeaderBytes = 40;
constexpr uint32_t kMaxHeaderBytes = 1 << 20;
constexpr size_t kLoadHeadBytes = 40;  // behind the record's head
constexpr size_t kMoveBytes = 48;
constexpr size_t kLineHeadBytes = 16;
constexpr size_t kMaxLinesBytes = size_t{1} << 20;
constexpr size_t kMaxPendingBytes = size_t{16} << 20;
constexpr size_t kPendingBytes = 96;  // of an entry, beside its text
constexpr size_t kFileBytes = 64;     // of a file, beside its name
constexpr size_t kWindowBytes = 64 * 1024;
// The perf inject of the time put code behind an ELF header, and V8 adds its size to lines.
constexpr uint64_t kV8LineShift = 0x40;
// How much clocks may differ, and a process's start is rounded.
constexpr uint64_t kClockSlackNs = 1'000'000'000;

enum RecordId : uint32_t {
  kLoad = 0,
  kMove = 1,
  kDebugInfo = 2,
  kClose = 3,
  kUnwindingInfo = 4,
};

uint32_t U32(absl::string_view bytes, size_t at) {
  uint32_t value;
  std::memcpy(&value, bytes.data() + at, sizeof(value));
  return value;
}
uint64_t U64(absl::string_view bytes, size_t at) {
  uint64_t value;
  std::memcpy(&value, bytes.data() + at, sizeof(value));
  return value;
}

// On CLOCK_MONOTONIC, rounded down. 0: before the first instant of that clock.
uint64_t StartTimeNs(const ProcStat& stat) {
  auto now_ns = [](clockid_t clock) {
    timespec t;
    ::clock_gettime(clock, &t);
    return int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
  };
  const int64_t since_boot =
      static_cast<int64_t>(stat.start_time_ticks) * (1'000'000'000 / ::sysconf(_SC_CLK_TCK));
  return static_cast<uint64_t>(std::max<int64_t>(
      0, since_boot - (now_ns(CLOCK_BOOTTIME) - now_ns(CLOCK_MONOTONIC))));
}

}  // namespace

// Bytes of the file by their offset, read in large pieces.
class JitDump::Window {
 public:
  explicit Window(GrowingFile& file) : file_(file), buffer_(kWindowBytes, '\0') {}

  // Shorter where the file ends. Valid until the next call.
  absl::string_view Get(uint64_t offset, size_t size) {
    if (offset < begin_ || offset + size > begin_ + filled_) {
      if (buffer_.size() < size) buffer_.resize(size);
      begin_ = offset;
      filled_ = 0;
      while (filled_ < size) {
        const absl::StatusOr<size_t> got =
            file_.Read(offset + filled_, std::span(buffer_).subspan(filled_));
        if (!got.ok()) status_ = got.status();
        if (!got.ok() || *got == 0) break;
        filled_ += *got;
        bytes_read_ += *got;
      }
    }
    return absl::string_view(buffer_).substr(0, filled_).substr(offset - begin_, size);
  }
  uint64_t bytes_read() const { return bytes_read_; }
  // Of the last read that failed.
  const absl::Status& status() const { return status_; }

 private:
  GrowingFile& file_;
  std::string buffer_;
  uint64_t begin_ = 0;
  size_t filled_ = 0;
  uint64_t bytes_read_ = 0;
  absl::Status status_;
};

bool JitDump::IsPathOfOne(absl::string_view path) {
  const size_t slash = path.rfind('/');
  if (slash == absl::string_view::npos) return false;
  absl::string_view name = path.substr(slash + 1);
  constexpr absl::string_view kDeleted = " (deleted)";
  if (absl::EndsWith(name, kDeleted)) name.remove_suffix(kDeleted.size());
  return absl::StartsWith(name, "jit-") && absl::EndsWith(name, ".dump");
}

JitDump::JitDump(UniqueFd fd, absl::string_view name, const JitDumpOptions& options)
    : file_(std::move(fd), name, options.read_part), options_(options) {}

absl::StatusOr<JitDump> JitDump::Open(Pid pid, UniqueFd fd, absl::string_view name,
                                      ReadFilePart read_part) {
  JPROF_ASSIGN_OR_RETURN(ProcStatus status, ReadProcStatus(pid));
  JPROF_ASSIGN_OR_RETURN(ProcStat stat, ReadProcStat(pid));
  const uint64_t start = StartTimeNs(stat);
  return OpenFile(std::move(fd), name,
                  {.pid = status.innermost_pid,
                   .not_before_ns = start - std::min(start, kClockSlackNs),
                   .read_part = std::move(read_part)});
}

absl::StatusOr<JitDump> JitDump::OpenFile(UniqueFd fd, absl::string_view name,
                                          const JitDumpOptions& options) {
  JPROF_ASSIGN_OR_RETURN(const FileFacts facts, FactsOf(fd, name));
  if (!S_ISREG(facts.mode)) {
    return absl::FailedPreconditionError(absl::StrCat(name, ": not a regular file"));
  }
  return JitDump(std::move(fd), name, options);
}

absl::Status JitDump::Update(uint64_t now_ns) {
  JPROF_RETURN_IF_ERROR(refused_);
  behind_ = false;
  JPROF_RETURN_IF_ERROR(file_.Begin(last_record_));
  const uint64_t size = file_.size();
  Window window(file_);
  const bool still_the_same = StillTheSame(window, size);
  JPROF_RETURN_IF_ERROR(window.status());
  if (!still_the_same) {
    ++counters_.restarts;
    offset_ = last_record_ = 0;
    damaged_ = false;
    pending_lines_.clear();
    pending_bytes_ = 0;
  }
  if (offset_ == 0 && size >= kHeaderBytes) refused_ = ReadHeader(window);
  const uint64_t read_before = bytes_read_;
  while (!behind_ && refused_.ok() && offset_ != 0 && !exhausted_ && !damaged_ &&
         offset_ + kRecordHeadBytes <= size) {
    const absl::string_view head = window.Get(offset_, kRecordHeadBytes);
    if (head.size() < kRecordHeadBytes) break;
    const uint32_t id = U32(head, 0);
    const uint64_t record_size = U32(head, 4);
    const uint64_t time_ns = U64(head, 8);
    if (record_size < kRecordHeadBytes) {
      damaged_ = true;
      break;
    }
    if (record_size > size - offset_) break;  // not all of it is written yet
    std::array<char, kRecordHeadBytes> kept_head;
    std::copy(head.begin(), head.end(), kept_head.begin());
    size_t wanted = 0;
    if (id == kLoad) wanted = kLoadHeadBytes + NameStore::kMaxNameBytes + 1;
    if (id == kMove) wanted = kMoveBytes;
    if (id == kDebugInfo) wanted = kMaxLinesBytes + 1;
    wanted = std::min<size_t>(wanted, record_size - kRecordHeadBytes);
    const absl::string_view body = window.Get(offset_ + kRecordHeadBytes, wanted);
    if (body.size() < wanted) break;
    OnRecord(id, time_ns, body, now_ns);
    last_head_ = kept_head;
    last_record_ = offset_;
    offset_ += record_size;
    if (read_before + window.bytes_read() >= options_.max_bytes) exhausted_ = true;
    behind_ = window.bytes_read() >= options_.max_bytes_per_update;
  }
  bytes_read_ += window.bytes_read();
  JPROF_RETURN_IF_ERROR(window.status());
  return refused_;
}

absl::Status JitDump::ReadHeader(Window& window) {
  const absl::string_view header = window.Get(0, kHeaderBytes);
  if (header.size() < kHeaderBytes) return absl::OkStatus();
  auto refuse = [this](auto... why) {
    return absl::FailedPreconditionError(absl::StrCat(name(), ": ", why...));
  };
  const uint32_t magic = U32(header, 0), version = U32(header, 4), size = U32(header, 8);
  if (magic == kForeignMagic) return refuse("in another byte order than this machine's");
  if (magic != kMagic) return refuse("no jitdump");
  if (version != kVersion) return refuse("jitdump of version ", version, ", not ", kVersion);
  if (size < kHeaderBytes || size > kMaxHeaderBytes) return refuse("a header of ", size, " bytes");
  const auto pid = static_cast<Pid>(U32(header, 20));
  if (options_.pid != 0 && pid != options_.pid) {
    return refuse("of process ", pid, ", which forked this one");
  }
  if ((U64(header, 32) & kFlagArchTimes) != 0) has_times_ = false;
  offset_ = size;
  return absl::OkStatus();
}

bool JitDump::StillTheSame(Window& window, uint64_t size) {
  if (offset_ > size) return false;
  return last_record_ == 0 || window.Get(last_record_, kRecordHeadBytes) ==
                                  absl::string_view(last_head_.data(), last_head_.size());
}

void JitDump::OnRecord(uint32_t id, uint64_t time_ns, absl::string_view body, uint64_t now_ns) {
  ++counters_.records;
  switch (id) {
    case kLoad:
    case kMove:
      if (time_ns < options_.not_before_ns || time_ns > now_ns + kClockSlackNs) has_times_ = false;
      return id == kLoad ? OnLoad(time_ns, body) : OnMove(time_ns, body);
    case kDebugInfo:
      return OnLines(body);
    case kClose:
    case kUnwindingInfo:
      return;
  }
  ++counters_.unknown;
}

bool JitDump::HasRoomFor(size_t name_bytes) {
  exhausted_ = exhausted_ || changes_.size() >= options_.max_records ||
               names_.name_bytes() + name_bytes > options_.max_name_bytes;
  return !exhausted_;
}

void JitDump::OnLoad(uint64_t time_ns, absl::string_view body) {
  if (body.size() < kLoadHeadBytes) {
    ++counters_.malformed;
    return;
  }
  Change code = {.time_ns = time_ns, .begin = U64(body, 16), .size = U64(body, 24)};
  absl::string_view name = body.substr(kLoadHeadBytes);
  const size_t end = name.find('\0');
  const bool too_long = end == absl::string_view::npos && name.size() > NameStore::kMaxNameBytes;
  if (code.size == 0 || code.begin + code.size < code.begin ||
      (end == absl::string_view::npos && !too_long)) {
    ++counters_.malformed;
    return;
  }
  name = name.substr(0, std::min(end, NameStore::kMaxNameBytes));
  if (!HasRoomFor(name.size())) return;
  code.name = names_.Keep(name);
  if (auto lines = pending_lines_.extract(code.begin); !lines.empty()) {
    pending_bytes_ -= lines.mapped().size() + kPendingBytes;
    AddLines(code, lines.mapped());
  }
  changes_.push_back(code);
  ++counters_.loads;
}

void JitDump::OnMove(uint64_t time_ns, absl::string_view body) {
  if (body.size() < kMoveBytes) {
    ++counters_.malformed;
    return;
  }
  const Change move = {.time_ns = time_ns,
                       .begin = U64(body, 24),
                       .size = U64(body, 32),
                       .from = U64(body, 16),
                       .is_move = true};
  if (move.size == 0 || move.begin + move.size < move.begin || move.from + move.size < move.from) {
    ++counters_.malformed;
    return;
  }
  if (!HasRoomFor(0)) return;
  changes_.push_back(move);
  ++counters_.moves;
}

void JitDump::OnLines(absl::string_view body) {
  if (body.size() < kLineHeadBytes || body.size() > kMaxLinesBytes) {
    ++counters_.lines_dropped;
    return;
  }
  if (pending_bytes_ + body.size() > kMaxPendingBytes) {
    counters_.lines_dropped += pending_lines_.size();
    pending_lines_.clear();
    pending_bytes_ = 0;
  }
  auto [it, added] = pending_lines_.try_emplace(U64(body, 0));
  std::string& text = it->second;
  if (!added) pending_bytes_ -= text.size() + kPendingBytes;
  text = std::string(body.substr(8));
  pending_bytes_ += text.size() + kPendingBytes;
}

void JitDump::AddLines(Change& code, absl::string_view text) {
  // As many entries as follow, each {address, line, discriminator, file and a NUL}.
  uint64_t count = U64(text, 0);
  text.remove_prefix(8);
  const bool is_v8 = IsV8FunctionName(code.name);
  const size_t first = lines_.size();
  uint32_t file = UINT32_MAX;
  bool whole = true;
  for (; count > 0; --count) {
    const size_t nul = text.size() < 16 ? absl::string_view::npos : text.find('\0', 16);
    whole = nul != absl::string_view::npos && lines_.size() < options_.max_lines;
    if (!whole) break;
    const absl::string_view name = text.substr(16, nul - 16);
    if (name != "\xff") {  // that is: as before
      const std::optional<uint32_t> interned = InternFile(name);
      whole = interned.has_value();
      if (!whole) break;
      file = *interned;
    }
    const uint64_t address = U64(text, 0) - (is_v8 ? kV8LineShift : 0);
    if (address < code.begin + code.size && code.size <= UINT32_MAX && file != UINT32_MAX) {
      const uint64_t offset = address - std::min(address, code.begin);
      lines_.push_back({.offset = static_cast<uint32_t>(offset),
                        .line = U32(text, 8),
                        .column = is_v8 ? U32(text, 12) : 0,
                        .file = file});
    }
    text.remove_prefix(nul + 1);
  }
  if (!whole) {
    // What follows is not known, so what there is says too much.
    ++counters_.lines_dropped;
    lines_.resize(first);
  }
  std::stable_sort(lines_.begin() + static_cast<ptrdiff_t>(first), lines_.end(),
                   [](const Line& a, const Line& b) { return a.offset < b.offset; });
  code.first_line = static_cast<uint32_t>(first);
  code.line_count = static_cast<uint32_t>(lines_.size() - first);
}

std::optional<uint32_t> JitDump::InternFile(absl::string_view file) {
  if (auto known = file_ids_.find(file); known != file_ids_.end()) return known->second;
  if (file.size() > NameStore::kMaxNameBytes ||
      names_.name_bytes() + file.size() > options_.max_name_bytes ||
      files_.size() >= options_.max_records) {
    return std::nullopt;
  }
  const auto id = static_cast<uint32_t>(files_.size());
  files_.push_back(names_.Keep(file));
  file_ids_.emplace(files_.back(), id);
  return id;
}

std::string JitDump::Trouble() const {
  if (!refused_.ok()) return absl::StrCat(refused_.message(), "; its names are not used");
  if (exhausted_) {
    return absl::StrCat(name(), ": too large; only the first ", changes_.size(),
                        " pieces of code have names");
  }
  if (damaged_) {
    return absl::StrCat(name(), ": damaged at byte ", offset_, "; what follows is not used");
  }
  if (!has_times_) {
    return absl::StrCat(name(),
                        ": its times are of another clock than CLOCK_MONOTONIC; where memory "
                        "was used again the last name is shown");
  }
  return "";
}

size_t JitDump::memory_bytes() const {
  return names_.memory_bytes() + changes_.capacity() * sizeof(Change) +
         lines_.capacity() * sizeof(Line) + files_.size() * kFileBytes + pending_bytes_;
}

JitDumpReplay::JitDumpReplay(const JitDump& dump) : dump_(dump), order_(dump.changes_.size()) {
  std::iota(order_.begin(), order_.end(), 0);
  if (!dump_.has_times_) return;
  std::stable_sort(order_.begin(), order_.end(), [&](uint32_t a, uint32_t b) {
    return dump_.changes_[a].time_ns < dump_.changes_[b].time_ns;
  });
}

void JitDumpReplay::AdvanceTo(uint64_t time_ns) {
  for (; next_ < order_.size(); ++next_) {
    const JitDump::Change& change = dump_.changes_[order_[next_]];
    if (dump_.has_times_ && change.time_ns > time_ns) return;
    const uint64_t end = change.begin + change.size;
    if (!change.is_move) {
      code_.Paint(change.begin, end, {order_[next_], change.begin});
      continue;
    }
    const Placed* found = code_.Find(change.from);
    const std::optional<Placed> moved =
        found != nullptr && found->begin == change.from ? std::optional(*found) : std::nullopt;
    code_.Clear(change.from, change.from + change.size);
    code_.Clear(change.begin, end);
    if (moved) code_.Paint(change.begin, end, {moved->change, change.begin});
  }
  // All that was read is applied, but not all that was written was read.
  beyond_ = (dump_.exhausted_ || dump_.damaged_) && dump_.has_times_ && !order_.empty() &&
            time_ns > dump_.changes_[order_.back()].time_ns;
}

std::optional<JitDumpReplay::Code> JitDumpReplay::Find(Address address) const {
  const Placed* placed = beyond_ ? nullptr : code_.Find(address.value);
  if (placed == nullptr) return std::nullopt;
  const JitDump::Change& change = dump_.changes_[placed->change];
  Code code = {.name = change.name};
  const auto first = dump_.lines_.begin() + change.first_line;
  const auto end = first + change.line_count;
  auto after = std::upper_bound(
      first, end, address.value - placed->begin,
      [](uint64_t offset, const JitDump::Line& line) { return offset < line.offset; });
  if (after == first || std::prev(after)->line == 0) return code;
  const JitDump::Line& line = *std::prev(after);
  code.file = dump_.files_[line.file];
  code.line = line.line;
  code.column = line.column;
  return code;
}

}  // namespace jprof
