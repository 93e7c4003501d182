#include "profiler/trap/spec.h"

#include <elf.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <optional>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "profiler/core/status.h"
#include "profiler/process/cgroup.h"
#include "profiler/process/live_memory.h"
#include "profiler/process/proc_status.h"
#include "profiler/stop/system_call.h"
#include "profiler/stop/system_call_names.h"
#include "symbolize/demangle.h"
#include "symbolize/elf_file.h"

namespace jprof {
namespace {

constexpr int kMaxError = 4095;
constexpr int64_t kMaxPid = 1 << 22;  // as Linux has it
constexpr size_t kMaxProcBytes = 64 << 10;
constexpr size_t kMaxPlaces = 64;
constexpr size_t kMaxNamed = 8;  // of functions that are listed
constexpr int kNever = -1;

// The arguments of a system call that point to a path, or to two.
struct PathArguments {
  int64_t number;
  int first;
  int second = kNever;
};
constexpr PathArguments kPaths[] = {
    {SYS_open, 0}, {SYS_openat, 1}, {SYS_openat2, 1}, {SYS_creat, 0}, {SYS_stat, 0},
    {SYS_lstat, 0}, {SYS_newfstatat, 1}, {SYS_statx, 1}, {SYS_access, 0}, {SYS_faccessat, 1},
    {SYS_faccessat2, 1}, {SYS_unlink, 0}, {SYS_unlinkat, 1}, {SYS_rename, 0, 1},
    {SYS_renameat, 1, 3}, {SYS_renameat2, 1, 3}, {SYS_mkdir, 0}, {SYS_mkdirat, 1}, {SYS_rmdir, 0},
    {SYS_link, 0, 1}, {SYS_symlink, 0, 1}, {SYS_readlink, 0}, {SYS_readlinkat, 1}, {SYS_chmod, 0},
    {SYS_fchmodat, 1}, {SYS_chown, 0}, {SYS_lchown, 0}, {SYS_fchownat, 1}, {SYS_truncate, 0},
    {SYS_chdir, 0}, {SYS_chroot, 0}, {SYS_execve, 0}, {SYS_execveat, 1}, {SYS_statfs, 0},
    {SYS_mount, 0, 1}, {SYS_umount2, 0}, {SYS_inotify_add_watch, 1}, {SYS_fanotify_mark, 4},
    {SYS_mknod, 0}, {SYS_mknodat, 1}, {SYS_linkat, 1, 3}, {SYS_symlinkat, 0, 2}, {SYS_utime, 0},
    {SYS_utimes, 0}, {SYS_utimensat, 1}, {SYS_futimesat, 1}, {SYS_setxattr, 0},
    {SYS_lsetxattr, 0}, {SYS_getxattr, 0}, {SYS_lgetxattr, 0}, {SYS_listxattr, 0},
    {SYS_llistxattr, 0}, {SYS_removexattr, 0}, {SYS_lremovexattr, 0}, {SYS_name_to_handle_at, 1},
    {SYS_pivot_root, 0, 1}, {SYS_swapon, 0}, {SYS_swapoff, 0}, {SYS_acct, 0}, {SYS_open_tree, 1},
    {SYS_uselib, 0}, {SYS_quotactl, 1}, {SYS_move_mount, 1, 3}, {SYS_fspick, 1},
    {SYS_mount_setattr, 1},
};

// Those that point to a local socket's address; the next one has its length.
constexpr PathArguments kAddresses[] = {{SYS_bind, 1}, {SYS_connect, 1}, {SYS_sendto, 4}};

// That points to data; of BYTES the next one has their length.
struct DataArgument {
  int64_t number;
  bool gets;  // it is there when the call returns; that of others, when it begins
  jp_probe_layout layout = JP_PROBE_BYTES;
};
constexpr int kDataArgument = 1;
constexpr DataArgument kData[] = {
    {SYS_read, true},
    {SYS_pread64, true},
    {SYS_recvfrom, true},
    {SYS_readv, true, JP_PROBE_VECTOR},
    {SYS_preadv, true, JP_PROBE_VECTOR},
    {SYS_preadv2, true, JP_PROBE_VECTOR},
    {SYS_recvmsg, true, JP_PROBE_MESSAGE},
    {SYS_write, false},
    {SYS_pwrite64, false},
    {SYS_sendto, false},
    {SYS_writev, false, JP_PROBE_VECTOR},
    {SYS_pwritev, false, JP_PROBE_VECTOR},
    {SYS_pwritev2, false, JP_PROBE_VECTOR},
    {SYS_vmsplice, false, JP_PROBE_VECTOR},
    {SYS_sendmsg, false, JP_PROBE_MESSAGE},
    {SYS_sendmmsg, false, JP_PROBE_MESSAGE},  // of several the first
};

// Do not return, or not to who called them: what can be known of them is known when they begin.
constexpr int kNoReturn[] = {SYS_exit, SYS_exit_group, SYS_rt_sigreturn};
constexpr int kEnds[] = {SYS_exit, SYS_exit_group};
// Return when they have failed.
constexpr int kReturnsFailed[] = {SYS_execve, SYS_execveat};

template <size_t size>
size_t CountIn(const int (&numbers)[size], const std::vector<int>& calls) {
  return static_cast<size_t>(std::count_if(calls.begin(), calls.end(), [&numbers](int call) {
    return std::find(std::begin(numbers), std::end(numbers), call) != std::end(numbers);
  }));
}

absl::Status Usage(std::string message) { return absl::InvalidArgumentError(std::move(message)); }
absl::Status TooManyTerms() {
  return Usage(absl::StrCat("a trap has at most ", JP_PROBE_TERMS, " terms"));
}

std::string Upper(absl::string_view text) { return absl::AsciiStrToUpper(text); }

bool ParseInteger(absl::string_view text, int64_t& value) {
  const bool minus = absl::ConsumePrefix(&text, "-");
  uint64_t number = 0;
  if (absl::StartsWithIgnoreCase(text, "0x")) {
    if (text.size() < 3 || !absl::SimpleHexAtoi(text.substr(2), &number)) return false;
  } else if (!absl::SimpleAtoi(text, &number)) {
    return false;
  }
  value = static_cast<int64_t>(minus ? 0 - number : number);
  return true;
}

bool ParseNanoseconds(absl::string_view text, int64_t& value) {
  struct Unit {
    absl::string_view name;
    double ns;
  };
  constexpr Unit kUnits[] = {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}};
  for (const Unit& unit : kUnits) {
    absl::string_view number = text;
    double amount = 0;
    if (absl::ConsumeSuffix(&number, unit.name) && absl::SimpleAtod(number, &amount)) {
      if (!(amount >= 0) || amount * unit.ns > 9e18) return false;
      value = static_cast<int64_t>(amount * unit.ns);
      return true;
    }
  }
  return false;
}

struct Word {
  absl::string_view key, value;
  int op = kNever;  // jp_probe_op
};

Word SplitWord(absl::string_view word) {
  Word result;
  const size_t at = word.find_first_of("=!<>");
  if (at == absl::string_view::npos) return {word, "", kNever};
  result.key = word.substr(0, at);
  absl::string_view rest = word.substr(at);
  if (absl::ConsumePrefix(&rest, "!=")) {
    result.op = JP_PROBE_NE;
  } else if (absl::ConsumePrefix(&rest, ">=")) {
    result.op = JP_PROBE_GE;
  } else if (absl::ConsumePrefix(&rest, "<=")) {
    result.op = JP_PROBE_LE;
  } else if (absl::ConsumePrefix(&rest, ">")) {
    result.op = JP_PROBE_GT;
  } else if (absl::ConsumePrefix(&rest, "<")) {
    result.op = JP_PROBE_LT;
  } else if (absl::ConsumePrefix(&rest, "=")) {
    result.op = JP_PROBE_EQ;
  }
  result.value = rest;
  return result;
}

class Parser {
 public:
  absl::StatusOr<TrapSpec> Parse(absl::string_view text, absl::string_view on);

 private:
  absl::Status ParseOn(absl::string_view on);
  void NoteOverloads(absl::string_view symbol);
  absl::Status ParseCalls(absl::string_view names);
  absl::Status ParseTerm(absl::string_view word);
  absl::Status ParseText(const Word& word, jp_probe_term& term);
  absl::StatusOr<jp_probe_term> MemoryOf(absl::string_view key) const;
  absl::Status SetHitPoint();
  jp_probe_config& config() { return spec_.probe.config; }

  TrapSpec spec_;
  std::vector<int> calls_;  // empty: any, or none
  std::vector<jp_probe_term> terms_;
  bool of_calls_ = false;
  bool duration_ = false;
  bool result_ = false;
};

void Parser::NoteOverloads(absl::string_view symbol) {
  const std::vector<ProbePlace>& places = spec_.probe.places;
  if (places.size() < 2) return;
  std::vector<absl::string_view> names;
  for (const ProbePlace& place : places) {
    if (names.size() < kMaxNamed) names.push_back(place.function);
  }
  spec_.notes.push_back(absl::StrCat(symbol, " is the name of ", places.size(),
                                     " functions, all are meant: ", absl::StrJoin(names, ", "),
                                     names.size() < places.size() ? ", ..." : ""));
}

absl::Status Parser::ParseOn(absl::string_view on) {
  if (absl::ConsumePrefix(&on, "uprobe:")) {
    const size_t colon = on.find(':');
    if (colon == absl::string_view::npos) {
      return Usage("--on uprobe:BINARY:SYMBOL needs a file and a function of it");
    }
    JPROF_ASSIGN_OR_RETURN(spec_.probe.places,
                           FindFunctions(std::string(on.substr(0, colon)), on.substr(colon + 1)));
    NoteOverloads(on.substr(colon + 1));
    config().points = config().hit_point = JP_PROBE_AT_ENTRY;
    return absl::OkStatus();
  }
  if (absl::ConsumePrefix(&on, "signal=")) {
    const int number = SignalNumber(on);
    if (number < 0) return Usage(absl::StrCat("there is no signal '", on, "'"));
    config().points = config().hit_point = JP_PROBE_AT_SIGNAL;
    jp_probe_term term = {};
    term.field = JP_PROBE_SIGNAL;
    term.value = number;
    terms_.push_back(term);
    return absl::OkStatus();
  }
  if (on == "exit=nonzero") {
    config().points = JP_PROBE_AT_SIGNAL | JP_PROBE_AT_ENTER;
    config().hit_point = JP_PROBE_AT_ENTER;
    config().only_failing = 1;
    spec_.at_end = true;
    for (int call : {SYS_exit, SYS_exit_group}) {
      config().calls[call / 64] |= uint64_t{1} << (call % 64);
    }
    return absl::OkStatus();
  }
  return Usage(
      absl::StrCat("--on takes signal=NAME, exit=nonzero or uprobe:BINARY:SYMBOL, not '", on, "'"));
}

absl::Status Parser::ParseCalls(absl::string_view names) {
  of_calls_ = true;
  if (names == "any") {
    for (__u64& word : config().calls) word = ~uint64_t{0};
    return absl::OkStatus();
  }
  for (absl::string_view name : absl::StrSplit(names, ',')) {
    if (name == "any") return Usage("'any' stands for all system calls: it takes no others");
    const int number = SystemCallNumber(name);
    if (number < 0) {
      return Usage(absl::StrCat("there is no system call '", name,
                                "'; 'any' stands for all; a trap is written 'close errno=EBADF'"));
    }
    calls_.push_back(number);
    config().calls[number / 64] |= uint64_t{1} << (number % 64);
  }
  return absl::OkStatus();
}

// What a path or the data of a system call is; nullopt: it has none.
std::optional<jp_probe_term> MemoryOfCall(int call, absl::string_view key) {
  auto find = [call](const auto& table) {
    const auto* found = std::find_if(std::begin(table), std::end(table),
                                     [call](const auto& row) { return row.number == call; });
    return found == std::end(table) ? nullptr : found;
  };
  jp_probe_term term = {};
  term.field = JP_PROBE_MEMORY;
  term.length = JP_PROBE_LENGTH_OWN;
  if (key == "buf") {
    const DataArgument* data = find(kData);
    if (data == nullptr) return std::nullopt;
    term.argument = term.second = kDataArgument;
    term.layout = static_cast<uint8_t>(data->layout);
    if (data->layout == JP_PROBE_BYTES) term.length = kDataArgument + 1;
    if (data->gets) term.length = JP_PROBE_LENGTH_RET;
  } else if (const PathArguments* path = find(kPaths); path != nullptr) {
    term.argument = static_cast<uint8_t>(path->first);
    term.second = path->second == kNever ? term.argument : static_cast<uint8_t>(path->second);
  } else if (const PathArguments* address = find(kAddresses); address != nullptr) {
    term.argument = term.second = static_cast<uint8_t>(address->first);
    term.length = static_cast<uint8_t>(address->first + 1);
    term.layout = JP_PROBE_ADDRESS;
  } else {
    return std::nullopt;
  }
  return term;
}

bool IsSamePlace(const jp_probe_term& a, const jp_probe_term& b) {
  return a.argument == b.argument && a.second == b.second && a.layout == b.layout;
}

absl::StatusOr<jp_probe_term> Parser::MemoryOf(absl::string_view key) const {
  std::optional<jp_probe_term> result;
  for (int call : calls_) {
    const std::optional<jp_probe_term> own = MemoryOfCall(call, key);
    if (!own) {
      return Usage(absl::StrCat("the system call ", kSystemCallNames[call], " has no ", key,
                                " that jprof knows"));
    }
    if (!result) result = own;
    if (!IsSamePlace(*result, *own)) {
      return Usage(
          absl::StrCat("these system calls have their ", key,
                       " in different places: a trap takes those that have it in the same"));
    }
    if (result->length != own->length) {
      return Usage("some of these system calls get data, others give it: take two traps");
    }
  }
  if (!result) return Usage(absl::StrCat(key, " goes with the name of a system call"));
  return *result;
}

// Of a call that takes longer than this, a few milliseconds are no matter.
constexpr uint64_t kLongNs = 1'000'000'000;

absl::Status Parser::ParseText(const Word& word, jp_probe_term& term) {
  if (word.op != JP_PROBE_EQ && word.op != JP_PROBE_NE) {
    return Usage(absl::StrCat(word.key, " is a text: it takes = or !="));
  }
  absl::string_view text = word.value;
  // Data has no end of its own.
  const bool is_beginning = absl::ConsumeSuffix(&text, "*") || word.key == "buf";
  const size_t most = word.key == "comm" ? 15 : JP_PROBE_TEXT - 1;
  if (word.key != "buf" && absl::StrContains(text, '*')) {
    return Usage(absl::StrCat(word.key, " takes a * at its end alone, for any more, not '",
                              word.value, "'"));
  }
  if (text.empty() || text.size() > most) {
    return Usage(
        absl::StrCat(word.key, " takes 1 to ", most, " characters, with a * for any more"));
  }
  std::memcpy(term.text, text.data(), text.size());
  term.bytes = static_cast<uint32_t>(text.size() + !is_beginning);  // with its zero
  if (word.key == "comm") {
    term.field = JP_PROBE_COMM;
    return absl::OkStatus();
  }
  JPROF_ASSIGN_OR_RETURN(const jp_probe_term memory, MemoryOf(word.key));
  term.field = memory.field;
  term.argument = memory.argument;
  term.second = memory.second;
  term.layout = memory.layout;
  term.length = memory.length;
  if (term.length == JP_PROBE_LENGTH_RET) result_ = true;
  return absl::OkStatus();
}

absl::Status Parser::ParseTerm(absl::string_view text) {
  const Word word = SplitWord(text);
  if (word.op == kNever) {
    return Usage(
        absl::StrCat("'", text, "' is no term such as errno=EBADF, ret<0, arg1>=4096, comm=node"));
  }
  jp_probe_term term = {};
  term.op = static_cast<uint8_t>(word.op);
  const absl::string_view key = word.key;
  int64_t value = 0;
  const bool is_number = ParseInteger(word.value, value);
  int argument = kNever;
  if (key == "path" || key == "buf" || key == "comm") {
    JPROF_RETURN_IF_ERROR(ParseText(word, term));
    terms_.push_back(term);
    return absl::OkStatus();
  }
  if (key == "errno") {
    term.field = JP_PROBE_ERRNO;
    if (!is_number) value = ErrorNumber(word.value);
    if (value < 0 || value > kMaxError)
      return Usage(absl::StrCat("there is no error '", word.value, "'"));
    result_ = true;
  } else if (key == "duration") {
    term.field = JP_PROBE_DURATION;
    if (!ParseNanoseconds(word.value, value)) {
      return Usage(
          absl::StrCat("duration takes a time such as 50us, 10ms or 1s, not '", word.value, "'"));
    }
    duration_ = result_ = true;
  } else if (key == "cgroup") {
    if (word.op != JP_PROBE_EQ && word.op != JP_PROBE_NE) return Usage("cgroup takes = or !=");
    std::vector<UniqueFd>& groups = spec_.probe.cgroups;
    if (groups.size() == JP_PROBE_TERMS) return TooManyTerms();
    JPROF_ASSIGN_OR_RETURN(Cgroup cgroup, FindCgroup(std::string(word.value)));
    term.field = JP_PROBE_CGROUP;
    term.argument = static_cast<uint8_t>(groups.size());
    value = 1;
    groups.push_back(std::move(cgroup.directory));
  } else if (!is_number) {
    return Usage(absl::StrCat(key, " takes a number, not '", word.value, "'"));
  } else if (key == "pid") {
    if (word.op == JP_PROBE_EQ) {
      if (spec_.probe.pid != 0 || value < 1 || value > kMaxPid) {
        return Usage(absl::StrCat("pid takes one process, not '", word.value, "'"));
      }
      spec_.probe.pid = static_cast<Pid>(value);
      return absl::OkStatus();
    }
    term.field = JP_PROBE_PID;
  } else if (key == "tid") {
    if (value < 1 || value > kMaxPid) {
      return Usage(absl::StrCat("tid takes a thread's number, not '", word.value, "'"));
    }
    term.field = JP_PROBE_TID;
  } else if (key == "uid") {
    if (value < 0 || value >= UINT32_MAX) {
      return Usage(absl::StrCat("uid takes a user's number, not '", word.value, "'"));
    }
    term.field = JP_PROBE_UID;
  } else if (key == "ret") {
    term.field = JP_PROBE_RET;
    result_ = true;
  } else if (key == "fd") {
    argument = 0;
  } else if (absl::StartsWith(key, "arg") && absl::SimpleAtoi(key.substr(3), &argument) &&
             argument >= 0 && argument < 6) {
  } else {
    return Usage(absl::StrCat("'", key,
                              "' is none of ret, errno, arg0 to arg5, fd, path, buf, pid, tid, "
                              "uid, comm, cgroup, duration"));
  }
  if (argument != kNever) {
    term.field = JP_PROBE_ARGUMENT;
    term.argument = static_cast<uint8_t>(argument);
    // An int that is negative has ones above it or not, as the compiler liked.
    const bool asks_for_sign = value == 0 && (word.op == JP_PROBE_LT || word.op == JP_PROBE_LE);
    term.narrow = key == "fd" || asks_for_sign || (value < 0 && value >= INT32_MIN);
    if (key == "fd") {
      if (value < INT32_MIN || value > UINT32_MAX) {
        return Usage(absl::StrCat("fd takes a descriptor's number, not '", word.value, "'"));
      }
      value = static_cast<int32_t>(value);
    }
  }
  term.value = value;
  terms_.push_back(term);
  return absl::OkStatus();
}

absl::Status Parser::SetHitPoint() {
  if (!of_calls_) {
    if (result_ || duration_) return Usage("ret, errno and duration go with system calls");
    if ((config().points & JP_PROBE_AT_SIGNAL) != 0 &&
        std::any_of(terms_.begin(), terms_.end(), [](const jp_probe_term& term) {
          return term.field == JP_PROBE_ARGUMENT || term.field == JP_PROBE_MEMORY;
        })) {
      return Usage("arguments go with system calls and functions: a signal and an end have none");
    }
    return absl::OkStatus();
  }
  // Those that do not return are met when they begin, all others when they end.
  const size_t never = CountIn(kNoReturn, calls_);
  const size_t beginning = never + (result_ ? 0 : CountIn(kReturnsFailed, calls_));
  const bool at_exit = calls_.empty() || beginning < calls_.size();
  if (at_exit && beginning > 0) {
    return Usage(
        "calls that do not return are met when they begin, others when they end: take two traps");
  }
  if (result_ && never > 0)
    return Usage("a call that does not return has no result, error or duration");
  spec_.at_end = CountIn(kEnds, calls_) > 0;
  config().hit_point = at_exit ? JP_PROBE_AT_EXIT : JP_PROBE_AT_ENTER;
  config().points = config().hit_point;
  if (duration_) {
    config().points |= JP_PROBE_AT_ENTER;
    config().times = JP_PROBE_TIMES_EXACT;
    bool all_long = true;
    for (const jp_probe_term& t : terms_) {
      if (t.field != JP_PROBE_DURATION) continue;
      const bool at_least = t.op == JP_PROBE_GT || t.op == JP_PROBE_GE;
      const __u64 ns = static_cast<__u64>(t.value);
      if (at_least) config().at_least_ns = std::max(config().at_least_ns, ns);
      all_long = all_long && at_least && ns >= kLongNs;
    }
    if (all_long) config().times = JP_PROBE_TIMES_BY_TICK;
  }
  return absl::OkStatus();
}

absl::StatusOr<TrapSpec> Parser::Parse(absl::string_view text, absl::string_view on) {
  std::vector<absl::string_view> words =
      absl::StrSplit(text, absl::ByAnyChar(" \t\n"), absl::SkipEmpty());
  if (!on.empty()) {
    JPROF_RETURN_IF_ERROR(ParseOn(on));
  } else if (words.empty()) {
    return Usage("a trap begins with the name of a system call, as in 'close errno=EBADF'");
  } else {
    JPROF_RETURN_IF_ERROR(ParseCalls(words[0]));
    words.erase(words.begin());
  }
  for (absl::string_view word : words) JPROF_RETURN_IF_ERROR(ParseTerm(word));
  JPROF_RETURN_IF_ERROR(SetHitPoint());
  if (terms_.size() > JP_PROBE_TERMS) return TooManyTerms();
  // Numbers are compared before memory is read.
  std::stable_sort(
      terms_.begin(), terms_.end(),
      [](const jp_probe_term& a, const jp_probe_term& b) { return a.field < b.field; });
  std::copy(terms_.begin(), terms_.end(), config().terms);
  config().term_count = static_cast<uint32_t>(terms_.size());
  config().max_hits = 1;
  config().self = static_cast<uint32_t>(::getpid());
  return std::move(spec_);
}

absl::StatusOr<ElfFile> OpenElf(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd.valid()) return ErrnoStatus(errno, absl::StrCat("cannot read ", path));
  return ElfFile::Open(std::move(fd), path);
}

std::string ErrorName(int64_t ret) {
  if (ret >= 0 || ret < -kMaxError) return "";
  const char* name = ::strerrorname_np(static_cast<int>(-ret));
  return name == nullptr ? "" : absl::StrCat(" ", name);
}

}  // namespace

absl::StatusOr<TrapSpec> ParseTrap(absl::string_view text, absl::string_view on) {
  return Parser().Parse(text, on);
}

int SystemCallNumber(absl::string_view name) {
  for (size_t i = 0; i < std::size(kSystemCallNames); ++i) {
    if (!name.empty() && kSystemCallNames[i] == name) return static_cast<int>(i);
  }
  return kNever;
}

int SignalNumber(absl::string_view name) {
  std::string upper = Upper(name);
  if (absl::StartsWith(upper, "SIG")) upper.erase(0, 3);
  int number = 0;
  if (absl::SimpleAtoi(upper, &number)) return number >= 1 && number <= 64 ? number : kNever;
  for (number = 1; number < 32; ++number) {
    const char* known = ::sigabbrev_np(number);
    if (known != nullptr && upper == known) return number;
  }
  return kNever;
}

int ErrorNumber(absl::string_view name) {
  const std::string upper = Upper(name);
  for (int number = 1; number < 256; ++number) {
    const char* known = ::strerrorname_np(number);
    if (known != nullptr && upper == known) return number;
  }
  return kNever;
}

absl::StatusOr<std::vector<ProbePlace>> FindFunctions(const std::string& path,
                                                      absl::string_view symbol) {
  JPROF_ASSIGN_OR_RETURN(const ElfFile file, OpenElf(path));
  absl::string_view beginning = symbol;
  const bool any_end = absl::ConsumeSuffix(&beginning, "*");
  const bool demangled = absl::StrContains(symbol, "::");
  auto is_wanted = [&](absl::string_view name) {
    if (name == symbol) return true;
    if (any_end) return absl::StartsWith(name, beginning) && !absl::StrContains(name, ".cold");
    if (!demangled || !absl::StartsWith(name, "_Z")) return false;
    const std::string text = Demangle(name);
    return text == symbol || absl::StartsWith(text, absl::StrCat(symbol, "("));
  };
  std::vector<ProbePlace> places;
  bool is_chosen = false;  // by the code at the symbol, which would be met instead
  for (ElfFile::Table table : {ElfFile::Table::kDynsym, ElfFile::Table::kSymtab}) {
    JPROF_RETURN_IF_ERROR(file.ForEachSymbol(table, [&](const ElfFile::Symbol& s) {
      const std::optional<FileOffset> offset =
          is_wanted(s.name) ? file.ToFileOffset(s.address) : std::nullopt;
      is_chosen = is_chosen || (offset && s.type == STT_GNU_IFUNC);
      if (offset && std::none_of(places.begin(), places.end(), [&](const ProbePlace& place) {
            return place.offset == offset->value;
          })) {
        places.push_back({.path = path, .offset = offset->value, .function = Demangle(s.name)});
      }
      return places.size() <= kMaxPlaces;
    }));
  }
  if (is_chosen) {
    return WithHint(
        absl::FailedPreconditionError(absl::StrCat(
            path, " chooses which function ", symbol,
            " is when a program starts (IFUNC): there is no code of that name to be met")),
        "name the one that runs, such as __strlen_avx2: jprof -p PID shows it");
  }
  if (places.size() > kMaxPlaces) {
    return Usage(absl::StrCat(path, " has more than ", kMaxPlaces, " functions ", symbol,
                              ": name one as its symbol table does"));
  }
  if (places.empty()) {
    return absl::NotFoundError(
        absl::StrCat(path, " has no function ", symbol, " in its symbol tables"));
  }
  return places;
}

absl::Status CheckReturns(const std::string& path) {
  JPROF_ASSIGN_OR_RETURN(const ElfFile file, OpenElf(path));
  constexpr absl::string_view kOfGo[] = {".note.go.buildid", ".gopclntab",
                                         ".data.rel.ro.gopclntab"};
  const auto found = file.FindSections(kOfGo);
  if (std::none_of(found.begin(), found.end(),
                   [](const auto& place) { return place.has_value(); })) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(
      absl::StrCat(path,
                   " has code of Go, which moves its stacks and does not bear that returns are "
                   "met: it would crash"));
}

namespace {

// Whether its thread stands in that very call, stopped, and nothing has run since.
bool Stands(const jp_probe_hit& hit, const SystemCall& call) {
  const std::string task = absl::StrCat("/proc/", hit.tgid, "/task/", hit.tid, "/");
  auto stat = ReadProcFile(task + "stat", kMaxProcBytes);
  auto text = ReadProcFile(task + "syscall", kMaxProcBytes);
  if (!stat.ok() || !text.ok()) return false;
  const absl::StatusOr<ProcStat> parsed = ParseProcStat(*stat);
  const std::optional<SleepingThread> asleep = ParseSyscallFile(*text);
  return parsed.ok() && parsed->state == 'T' && asleep && asleep->call &&
         asleep->call->number == call.number && asleep->call->arguments == call.arguments;
}

// What its arguments point to, and what its descriptors are, is told of one that stands alone: of
// any other it may be something else by now.
std::string CallText(const jp_probe_hit& hit) {
  SystemCall call = {hit.number};
  std::copy(std::begin(hit.arguments), std::end(hit.arguments), call.arguments.begin());
  if (!Stands(hit, call)) return DescribeCall(call, {});
  const auto pid = static_cast<Pid>(hit.tgid);
  const LiveMemory memory(pid);
  const std::string text = DescribeCall(call, LiveContext(pid, memory));
  return Stands(hit, call) ? text : DescribeCall(call, {});
}

}  // namespace

std::string DescribeHit(const jp_probe_hit& hit) {
  switch (hit.point) {
    case JP_PROBE_AT_SIGNAL: {
      const char* name = ::sigabbrev_np(static_cast<int>(hit.number));
      return name == nullptr ? absl::StrCat("signal ", hit.number)
                             : absl::StrCat("signal SIG", name);
    }
    case JP_PROBE_AT_ENTRY:
      return absl::StrFormat("function called with (0x%x, 0x%x, 0x%x, ...)", hit.arguments[0],
                             hit.arguments[1], hit.arguments[2]);
    case JP_PROBE_AT_RETURN:
      return "function returned";
    default:
      break;
  }
  std::string text = CallText(hit);
  if (hit.point == JP_PROBE_AT_ENTER) return absl::StrCat(text, " begins");
  if (JP_PROBE_RESTARTS(hit.ret)) {
    absl::StrAppend(&text, " is interrupted (restarts)");
  } else if (JP_PROBE_INTERRUPTED(hit.ret)) {
    absl::StrAppend(&text, " is interrupted (restarts, or EINTR)");
  } else {
    absl::StrAppend(&text, " = ", hit.ret, ErrorName(hit.ret));
  }
  if (hit.duration_ns != 0) {
    absl::StrAppend(&text,
                    absl::StrFormat(", %.3f ms", static_cast<double>(hit.duration_ns) / 1e6));
  }
  return text;
}

}  // namespace jprof
