#include "profiler/pipeline/target_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "profiler/core/status.h"
#include "profiler/process/live_memory.h"
#include "symbolize/byte_cursor.h"
#include "symbolize/message_fields.h"

namespace jprof {
namespace {

constexpr std::chrono::milliseconds kPatience{500};
// Processes that get no answer of a file system which gave one before, until no more ask it.
constexpr size_t kSilencesOfKnown = 3;
constexpr size_t kMaxNoted = 1 << 16;
constexpr size_t kMaxTextBytes = size_t{60} << 20;  // of one answer
// A file system that is not faster than twice that in a second counts as silent.
constexpr size_t kPartBytes = 256 << 10;
static_assert(kPartBytes >= FilePart::kMinPartBytes);

enum class Question : uint32_t {
  kMapped,
  kOfGone,
  kInProcess,
  kNamed,
  kBelow,
  kAgain,
  kMaps,
  kMemory,
  kPart,
  kCode,
};

struct Fields {
  Question question = Question::kMapped;
  Pid pid = 0;
  LinkPolicy links = LinkPolicy::kFollowInRoot;
  Mapping mapping;  // its path, too, of what is no mapping
  std::string name;  // for messages
  uint64_t time_ns = 0;
  std::vector<uint64_t> addresses;
};

std::string Encode(const Fields& f) {
  MessageWriter w;
  w.U32(static_cast<uint32_t>(f.question)).U32(static_cast<uint32_t>(f.pid));
  w.U32(static_cast<uint32_t>(f.links)).U64(f.mapping.range.begin.value);
  w.U64(f.mapping.range.end.value).U64(f.mapping.offset.value);
  w.U32(f.mapping.file.device_major).U32(f.mapping.file.device_minor);
  w.U64(f.mapping.file.inode).Text(f.mapping.path).Text(f.name);
  w.U64(f.time_ns).U32(static_cast<uint32_t>(f.addresses.size()));
  for (uint64_t address : f.addresses) w.U64(address);
  return std::move(w).bytes();
}

Fields Decode(const std::string& bytes) {
  ByteCursor c = CursorOf(bytes);
  Fields f;
  f.question = static_cast<Question>(c.U32());
  f.pid = static_cast<Pid>(c.U32());
  f.links = static_cast<LinkPolicy>(c.U32());
  f.mapping.range.begin.value = c.U64();
  f.mapping.range.end.value = c.U64();
  f.mapping.offset.value = c.U64();
  f.mapping.file.device_major = c.U32();
  f.mapping.file.device_minor = c.U32();
  f.mapping.file.inode = c.U64();
  f.mapping.path = Text(c);
  f.name = Text(c);
  f.time_ns = c.U64();
  f.addresses.resize(Count(c, sizeof(uint64_t)));
  for (uint64_t& address : f.addresses) address = c.U64();
  return f;
}

Fields About(Question question, const MapEvent& map) {
  return {.question = question,
          .pid = map.pid,
          .mapping = {map.range, map.offset, map.file, map.path},
          .time_ns = map.time_ns};
}

Fields About(Question question, Pid pid, const std::string& path) {
  Fields f = {.question = question, .pid = pid};
  f.mapping.path = path;
  return f;
}

// In the stand-in.
absl::StatusOr<UniqueFd> OpenFor(const Fields& f, const UniqueFd& given) {
  const std::string& path = f.mapping.path;
  switch (f.question) {
    case Question::kMapped:
      return OpenMappedFile(f.pid, f.mapping);
    case Question::kOfGone:
      return OpenFileOfGoneProcess(f.pid, f.mapping, f.time_ns);
    case Question::kInProcess:
      return path[0] == '/' ? OpenInProcessRoot(given, path, f.links, f.name)
                            : OpenInWorkingDirectory(given, path, f.links, f.name);
    case Question::kNamed:
      return OpenNamedByProcess(f.pid, path);
    case Question::kBelow:
      return OpenInRoot(given, path, f.links, path);
    case Question::kAgain:
      return OpenPathOnly(given, path);
    case Question::kMaps:
    case Question::kMemory:
    case Question::kPart:
    case Question::kCode:
      break;
  }
  return absl::InvalidArgumentError("not a question");
}

std::string Encode(const std::vector<FrameCode>& found) {
  auto text = [](const std::vector<uint8_t>& bytes) {
    return absl::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  };
  MessageWriter w;
  w.U32(static_cast<uint32_t>(found.size()));
  for (const FrameCode& code : found) w.U64(code.address).Text(text(code.fde)).Text(text(code.cie));
  return std::move(w).bytes();
}

std::vector<FrameCode> DecodeCode(const std::string& bytes) {
  auto taken = [](ByteCursor& c) {
    const std::span<const uint8_t> text = c.Bytes(c.U32());
    return std::vector<uint8_t>(text.begin(), text.end());
  };
  ByteCursor c = CursorOf(bytes);
  std::vector<FrameCode> found(Count(c, sizeof(uint64_t) + 2 * sizeof(uint32_t)));
  for (FrameCode& code : found) {
    code.address = c.U64();
    code.fde = taken(c);
    code.cie = taken(c);
  }
  return found;
}

SymbolizerProcess::Parcel Answer(const absl::Status& status, absl::string_view text = "") {
  MessageWriter w;
  w.U32(static_cast<uint32_t>(status.code())).Text(status.message());
  w.Text(HintOf(status)).Text(text);
  return {std::move(w).bytes(), {}};
}

absl::StatusOr<UniqueFd> OpenAndProve(const Fields& f, const UniqueFd& given) {
  JPROF_ASSIGN_OR_RETURN(UniqueFd file, OpenFor(f, given));
  if (!MayStopAnswering(file)) return file;
  JPROF_RETURN_IF_ERROR(AwaitFileSystem(file, f.mapping.path));
  const bool is_kept = f.question == Question::kMapped || f.question == Question::kOfGone ||
                       f.question == Question::kInProcess;
  return is_kept ? ToPathOnly(file) : std::move(file);
}

std::string ReadMemoryFor(const Fields& f) {
  std::string bytes(std::min<uint64_t>(f.mapping.range.size(), kPartBytes), '\0');
  const LiveMemory memory(f.pid);
  bytes.resize(
      memory.Read(f.mapping.range.begin, std::as_writable_bytes(std::span(bytes))));
  return bytes;
}

// The file's size, then the bytes.
absl::StatusOr<std::string> ReadPartFor(const Fields& f, const UniqueFd& path_only) {
  JPROF_ASSIGN_OR_RETURN(const UniqueFd file, OpenPathOnly(path_only, f.mapping.path));
  struct stat st;
  if (::fstat(file.get(), &st) != 0) return ErrnoStatus(errno, f.mapping.path);
  std::string bytes(kPartBytes, '\0');
  size_t filled = 0;
  while (filled < bytes.size()) {
    const ssize_t got = ::pread(file.get(), bytes.data() + filled, bytes.size() - filled,
                                static_cast<off_t>(f.mapping.offset.value + filled));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus(errno, absl::StrCat("cannot read ", f.mapping.path));
    if (got == 0) break;
    filled += static_cast<size_t>(got);
  }
  bytes.resize(filled);
  MessageWriter w;
  w.U64(static_cast<uint64_t>(st.st_size)).Text(bytes);
  return std::move(w).bytes();
}

absl::StatusOr<std::string> TextFor(const Fields& f, const UniqueFd& given) {
  if (f.question == Question::kPart) return ReadPartFor(f, given);
  if (f.question == Question::kMemory) return ReadMemoryFor(f);
  if (f.question == Question::kCode) return Encode(FindFrameCode(f.pid, f.addresses));
  absl::StatusOr<std::string> text = ReadProcMapsText(f.pid);
  if (text.ok() && text->size() > kMaxTextBytes) {
    return absl::ResourceExhaustedError(absl::StrCat("/proc/", f.pid, "/maps: too large"));
  }
  return text;
}

SymbolizerProcess::Parcel RunErrand(SymbolizerProcess::Parcel errand) {
  const Fields f = Decode(errand.text);
  const UniqueFd given =
      errand.descriptors.empty() ? UniqueFd() : std::move(errand.descriptors[0]);
  if (f.question >= Question::kMaps) {
    const absl::StatusOr<std::string> text = TextFor(f, given);
    return Answer(text.status(), text.ok() ? *text : "");
  }
  absl::StatusOr<UniqueFd> file = OpenAndProve(f, given);
  SymbolizerProcess::Parcel answer = Answer(file.status());
  if (file.ok()) answer.descriptors.push_back(*std::move(file));
  return answer;
}

absl::Status StatusIn(ByteCursor& c) {
  const auto code = static_cast<absl::StatusCode>(std::min(c.U32(), kMaxStatusCode));
  const std::string message = Text(c);
  const std::string hint = Text(c);
  const absl::Status status(code, message);
  return hint.empty() ? status : WithHint(status, hint);
}

}  // namespace

absl::StatusOr<std::shared_ptr<SymbolizerProcess>> StartFileReaders() {
  return SymbolizerProcess::Start({}, RunErrand);
}

uint64_t TargetFiles::DeviceOf(const UniqueFd& file) {
  struct statx st;
  if (::statx(file.get(), "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO, &st) != 0) return 0;
  return uint64_t{st.stx_dev_major} << 32 | st.stx_dev_minor;
}

bool TargetFiles::IsHopeless(const Subject& of) const {
  size_t same_device = 0, memories = 0, code = 0;
  for (const LeftBehind& one : left_behind_) {
    if (one.of == of) return true;
    same_device += of.is_of_device() && one.of.device == of.device;
    memories += one.of.device == Subject::kMemory;
    code += one.of.device == Subject::kCode;
  }
  return left_behind_.size() >= kMaxLeftBehind ||
         same_device >= (devices_.contains(of.device) ? kSilencesOfKnown : 1) ||
         (of.device == Subject::kMemory && memories >= kMaxSilentMemories) ||
         (of.device == Subject::kCode && code >= kMaxSilentCode);
}

absl::Status TargetFiles::Silent(const Subject& of, absl::string_view name) {
  if (first_silent_.empty()) {
    first_silent_ = of.pid == 0 ? std::string(name) : absl::StrCat(name, " of process ", of.pid);
  }
  if (of.pid != 0 && silent_.size() < kMaxNoted) silent_.insert(of.pid);
  const absl::string_view what = of.device == Subject::kMemory ? "it" : "its file system";
  return absl::DeadlineExceededError(absl::StrCat(name, ": ", what, " does not answer"));
}

absl::StatusOr<SymbolizerProcess::Parcel> TargetFiles::Ask(const std::string& question,
                                                           const UniqueFd* descriptor,
                                                           const Subject& of,
                                                           absl::string_view name) {
  absl::MutexLock lock(&mutex_);
  std::erase_if(left_behind_, [](const LeftBehind& one) {
    return SymbolizerProcess::HasComeBack(one.stand_in);
  });
  if (IsHopeless(of)) return Silent(of, name);
  if (!stand_in_) {
    JPROF_ASSIGN_OR_RETURN(stand_in_, processes_->StartStandIn());
  }
  const int given = descriptor == nullptr ? -1 : descriptor->get();
  absl::StatusOr<SymbolizerProcess::Parcel> answer = processes_->Ask(
      *stand_in_, question, std::span(&given, descriptor == nullptr ? 0 : 1), kPatience);
  if (answer.ok()) return answer;
  SymbolizerProcess::Peer stand_in = *std::exchange(stand_in_, std::nullopt);
  if (!absl::IsDeadlineExceeded(answer.status())) return answer.status();
  left_behind_.push_back({std::move(stand_in), of});
  return Silent(of, name);
}

absl::StatusOr<UniqueFd> TargetFiles::Open(std::string question, const UniqueFd* descriptor,
                                           const Subject& of, absl::string_view name) {
  JPROF_ASSIGN_OR_RETURN(SymbolizerProcess::Parcel answer, Ask(question, descriptor, of, name));
  ByteCursor c = CursorOf(answer.text);
  JPROF_RETURN_IF_ERROR(StatusIn(c));
  if (!c.ok() || answer.descriptors.size() != 1) {
    return absl::InternalError("no file in the answer");
  }
  absl::MutexLock lock(&mutex_);
  if (devices_.size() < kMaxNoted) devices_.insert(of.device);
  return std::move(answer.descriptors[0]);
}

absl::StatusOr<UniqueFd> TargetFiles::OpenMapped(const MapEvent& map) {
  const uint64_t device = uint64_t{map.file.device_major} << 32 | map.file.device_minor;
  return Open(Encode(About(Question::kMapped, map)), nullptr, {map.pid, device}, map.path);
}

absl::StatusOr<UniqueFd> TargetFiles::OpenOfGone(const MapEvent& map, Pid root_of) {
  const uint64_t device = uint64_t{map.file.device_major} << 32 | map.file.device_minor;
  Fields f = About(Question::kOfGone, map);
  f.pid = root_of;
  return Open(Encode(f), nullptr, {map.pid, device}, map.path);
}

absl::StatusOr<UniqueFd> TargetFiles::OpenInProcess(Pid pid, const UniqueFd& process,
                                                    const std::string& path, LinkPolicy links,
                                                    absl::string_view name) {
  Fields f = About(Question::kInProcess, pid, path);
  f.links = links;
  f.name = std::string(name);
  return Open(Encode(f), &process, {pid, Subject::kSomeDevice}, name);
}

absl::StatusOr<UniqueFd> TargetFiles::OpenNamed(Pid pid, const std::string& path) {
  return Open(Encode(About(Question::kNamed, pid, path)), nullptr, {pid, Subject::kSomeDevice},
              path);
}

absl::StatusOr<UniqueFd> TargetFiles::OpenBelow(const UniqueFd& root, const std::string& path) {
  return Open(Encode(About(Question::kBelow, 0, path)), &root, {0, DeviceOf(root)}, path);
}

absl::StatusOr<UniqueFd> TargetFiles::OpenAgain(const UniqueFd& path_only,
                                                const std::string& path) {
  return Open(Encode(About(Question::kAgain, 0, path)), &path_only, {0, DeviceOf(path_only)}, path);
}

absl::StatusOr<std::string> TargetFiles::Read(std::string question, const UniqueFd* descriptor,
                                              const Subject& of, absl::string_view name) {
  JPROF_ASSIGN_OR_RETURN(const SymbolizerProcess::Parcel answer,
                         Ask(question, descriptor, of, name));
  ByteCursor c = CursorOf(answer.text);
  JPROF_RETURN_IF_ERROR(StatusIn(c));
  std::string text = Text(c);
  if (!c.ok()) return absl::InternalError(absl::StrCat(name, ": no text in the answer"));
  return text;
}

absl::StatusOr<std::vector<ProcMapping>> TargetFiles::ReadMaps(Pid pid) {
  const std::string name = absl::StrCat("/proc/", pid, "/maps");
  JPROF_ASSIGN_OR_RETURN(
      const std::string text,
      Read(Encode(About(Question::kMaps, pid, "")), nullptr, {pid, Subject::kKernel}, name));
  absl::StatusOr<std::vector<ProcMapping>> mappings = ParseProcMaps(text);
  if (!mappings.ok()) return Annotate(mappings.status(), name);
  return mappings;
}

size_t TargetFiles::ReadMemory(Pid pid, Address address, std::span<std::byte> out) {
  size_t done = 0;
  while (done < out.size()) {
    const size_t size = std::min(out.size() - done, kPartBytes);
    Fields f = About(Question::kMemory, pid, "");
    f.mapping.range = {address + done, address + done + size};
    const absl::StatusOr<std::string> bytes =
        Read(Encode(f), nullptr, {pid, Subject::kMemory}, "memory");
    if (!bytes.ok() || bytes->size() > size) break;
    std::memcpy(out.data() + done, bytes->data(), bytes->size());
    done += bytes->size();
    if (bytes->size() < size) break;
  }
  return done;
}

absl::StatusOr<FilePart> TargetFiles::ReadPart(Pid pid, const UniqueFd& path_only, uint64_t offset,
                                               const std::string& name) {
  const Subject of = {pid, DeviceOf(path_only)};
  Fields f = About(Question::kPart, pid, name);
  f.mapping.offset.value = offset;
  JPROF_ASSIGN_OR_RETURN(const std::string text, Read(Encode(f), &path_only, of, name));
  ByteCursor c = CursorOf(text);
  FilePart part;
  part.file_size = c.U64();
  part.bytes = Text(c);
  if (!c.ok()) return absl::InternalError(absl::StrCat(name, ": no part in the answer"));
  absl::MutexLock lock(&mutex_);
  if (devices_.size() < kMaxNoted) devices_.insert(of.device);
  return part;
}

absl::StatusOr<std::vector<FrameCode>> TargetFiles::FindCode(Pid pid,
                                                             std::span<const uint64_t> addresses) {
  constexpr absl::string_view kName = "call-frame information";
  using Clock = std::chrono::steady_clock;
  {
    absl::MutexLock lock(&mutex_);
    if (time_of_code_.size() >= kMaxNoted) time_of_code_.clear();
    if (time_of_code_[pid] > kMaxTimeOfCode) {
      return absl::ResourceExhaustedError(absl::StrCat(kName, " of process ", pid, ": too slow"));
    }
  }
  Fields f = {.question = Question::kCode, .pid = pid};
  f.addresses.assign(addresses.begin(), addresses.end());
  const Clock::time_point begin = Clock::now();
  const absl::StatusOr<std::string> text = Read(Encode(f), nullptr, {pid, Subject::kCode}, kName);
  {
    absl::MutexLock lock(&mutex_);
    time_of_code_[pid] += Clock::now() - begin;
  }
  JPROF_RETURN_IF_ERROR(text.status());
  return DecodeCode(*text);
}

size_t TargetFiles::left_behind() const {
  absl::MutexLock lock(&mutex_);
  return left_behind_.size();
}

uint64_t TargetFiles::silent_processes() const {
  absl::MutexLock lock(&mutex_);
  return silent_.size();
}

std::string TargetFiles::Trouble() const {
  absl::MutexLock lock(&mutex_);
  if (first_silent_.empty()) return "";
  return absl::StrCat(
      silent_.empty() ? "files"
                      : absl::StrCat("files of ", silent_.size(),
                                     silent_.size() == 1 ? " process" : " processes"),
      " could not be read, since their file systems or memory did not answer within half a second, "
      "such as ",
      first_silent_,
      "; look for a network or FUSE file system that hangs, or a userfaultfd: /proc/PID/maps");
}

FrameStepper::Find FrameCodeFinder(std::shared_ptr<SymbolizerProcess> processes) {
  if (processes == nullptr || !processes->has_stand_ins()) return nullptr;
  return [files = std::make_shared<TargetFiles>(std::move(processes))](
             Pid pid, std::span<const uint64_t> addresses) {
    return files->FindCode(pid, addresses).value_or(std::vector<FrameCode>());
  };
}

}  // namespace jprof
