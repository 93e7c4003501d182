// perf.data as a profile. The records say which process had which file mapped where, and so lead
// from an address to a file and an offset in it; what is there is said by the files of this host,
// if they are the same (CodeNames).
//
// Each sample becomes a path in a tree of code, not of names; all distinct code is named once, at
// the end, and then the tree is copied into the profile.
#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/hash/hash.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "import/code_names.h"
#include "import/frame_text.h"
#include "import/importer.h"
#include "import/perf_data.h"
#include "profiler/core/index_table.h"
#include "profiler/core/status.h"
#include "profiler/process/address_space.h"
#include "profiler/process/process_table.h"

namespace jprof {
namespace {

constexpr size_t kMaxBytes = size_t{2} << 30;
constexpr absl::string_view kKernelImage = "[kernel.kallsyms]";

// Among the addresses of a call chain: what follows is of the ...
constexpr uint64_t kFirstMark = static_cast<uint64_t>(-4095);
constexpr uint64_t kMarkKernel = static_cast<uint64_t>(-128);
constexpr uint64_t kMarkUser = static_cast<uint64_t>(-512);
constexpr uint64_t kMarkUserDeferred = static_cast<uint64_t>(-640);  // one number, then nothing

enum class Mode : uint8_t { kUser, kKernel, kOther };

Mode ModeOfMisc(uint16_t misc) {
  switch (misc & 7) {
    case 1:
      return Mode::kKernel;
    case 2:
      return Mode::kUser;
    default:  // hypervisor, guests
      return Mode::kOther;
  }
}

// A mapped file as the recording knows it.
struct RecordedFile {
  std::string path;
  std::string build_id;
  uint64_t inode = 0;
  uint64_t memory_start = 0;  // of its first mapping
  uint64_t memory_limit = 0;
  uint64_t file_offset = 0;
};

struct Code {
  enum class Kind : uint8_t { kFile, kKernel, kJit, kText };
  Kind kind = Kind::kText;
  uint32_t index = 0;  // of a file, of a process with code in no file, or of a text
  uint64_t value = 0;  // offset in the file, address in the kernel or in no file

  friend bool operator==(const Code&, const Code&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const Code& c) {
    return H::combine(std::move(h), c.kind, c.index, c.value);
  }
};

class PerfDataReader {
 public:
  explicit PerfDataReader(CodeNames* names) : names_(names) {}

  absl::StatusOr<Imported> Read(absl::string_view bytes) {
    JPROF_ASSIGN_OR_RETURN(const PerfDataFile file, PerfDataFile::Open(bytes));
    for (const PerfDataFile::BuildId& b : file.build_ids()) build_ids_.try_emplace(b.path, b.hex);
    for (size_t i = 0; i < file.size(); ++i) {
      const PerfRecord record = file.Record(i);
      last_ns_ = std::max(last_ns_, record.time_ns);
      if (record.type == PerfRecordType::kSample) {
        JPROF_RETURN_IF_ERROR(OnSample(file, record));
      } else if (!OnSideband(record)) {
        ++damaged_;
      }
      JPROF_RETURN_IF_ERROR(budget_.status());
    }
    damaged_ += file.damaged();
    Imported out;
    if (!builder_) return out;
    JPROF_RETURN_IF_ERROR(NameCode(out.notes));
    JPROF_RETURN_IF_ERROR(AddSamples());
    AddNotes(out.notes);
    Head(file);
    JPROF_ASSIGN_OR_RETURN(out.profile, std::move(*builder_).Build());
    return out;
  }

 private:
  struct Node {
    uint32_t caller;
    uint32_t code;
  };
  struct Sample {
    uint64_t time_ns;
    ThreadId thread;
    uint32_t cpu;
    uint32_t node;  // kNone: no stack
    int64_t period;
  };
  static constexpr uint32_t kNone = UINT32_MAX;

  // False: the record does not hold what its kind demands.
  bool OnSideband(const PerfRecord& record) {
    PerfCursor at(record.body);
    switch (record.type) {
      case PerfRecordType::kMmap:
      case PerfRecordType::kMmap2:
        return OnMmap(record);
      case PerfRecordType::kComm: {
        const auto pid = static_cast<Pid>(at.U32());
        const auto tid = static_cast<Tid>(at.U32());
        const bool exec = (record.misc & 1 << 13) != 0;
        budget_.Take(64);
        if (exec) began_ns_[pid] = record.time_ns;
        processes_.Apply(CommEvent{record.time_ns, pid, tid, exec, std::string(at.Text())});
        break;
      }
      case PerfRecordType::kFork:
      case PerfRecordType::kExit: {
        const auto pid = static_cast<Pid>(at.U32()), parent = static_cast<Pid>(at.U32());
        const auto tid = static_cast<Tid>(at.U32()), parent_tid = static_cast<Tid>(at.U32());
        if (!at.ok()) return false;
        if (record.type == PerfRecordType::kFork) {
          if (pid == tid) began_ns_[pid] = record.time_ns;
          processes_.Apply(ForkEvent{record.time_ns, pid, tid, parent, parent_tid});
        } else {
          processes_.Apply(ExitEvent{record.time_ns, pid, tid});
        }
        break;
      }
      case PerfRecordType::kLost:
        at.U64();  // of which event
        lost_ = std::max(lost_, lost_ + at.U64());
        break;
      case PerfRecordType::kLostSamples:
        lost_ = std::max(lost_, lost_ + at.U64());
        break;
      default:
        break;
    }
    return at.ok();
  }

  bool OnMmap(const PerfRecord& record) {
    constexpr uint16_t kIsData = 1 << 13, kHasBuildId = 1 << 14;
    PerfCursor at(record.body);
    MapEvent map;
    map.time_ns = record.time_ns;
    map.pid = static_cast<Pid>(at.U32());
    at.U32();  // thread
    map.range.begin = {at.U64()};
    const uint64_t size = at.U64();
    map.range.end = {map.range.begin.value + size};
    map.offset = {at.U64()};
    RecordedFile file;
    if (record.type == PerfRecordType::kMmap2) {
      const absl::string_view identity = at.Bytes(24);
      const uint32_t protection = at.U32();
      at.U32();  // flags
      if (!at.ok()) return false;
      PerfCursor fields(identity);
      if ((record.misc & kHasBuildId) != 0) {
        const uint64_t bytes = std::min<uint64_t>(fields.U32() & 0xff, 20);
        file.build_id = absl::BytesToHexString(fields.Bytes(bytes));
      } else {
        fields.U64();  // device
        file.inode = fields.U64();
      }
      if ((protection & 4) == 0) return true;  // no code
    } else if ((record.misc & kIsData) != 0) {
      return true;
    }
    if (!at.ok() || map.range.end < map.range.begin) return false;
    const absl::string_view path = at.Text();
    if (map.pid == -1 || ModeOfMisc(record.misc) == Mode::kKernel) {
      OnKernelMap(path, map);
      return true;
    }
    file.path = std::string(path);
    file.memory_start = map.range.begin.value;
    file.memory_limit = map.range.end.value;
    file.file_offset = map.offset.value;
    map.path = file.path;
    // As the number of the file among those of the recording.
    map.file.inode = uint64_t{FileOf(std::move(file))} + 1;
    processes_.Apply(map);
    return true;
  }

  // "[kernel.kallsyms]_text", the offset is the address of that symbol. Modules are not told apart:
  // whoever names the kernel knows them.
  void OnKernelMap(absl::string_view path, const MapEvent& map) {
    if (!kernel_symbol_.empty() || !absl::ConsumePrefix(&path, kKernelImage)) return;
    kernel_symbol_ = std::string(path);
    kernel_symbol_address_ = map.offset.value;
  }

  uint32_t FileOf(RecordedFile file) {
    if (file.build_id.empty()) {
      const auto known = build_ids_.find(file.path);
      if (known != build_ids_.end()) file.build_id = known->second;
    }
    const auto [it, added] = file_numbers_.try_emplace(
        std::tuple(file.path, file.build_id, file.inode), static_cast<uint32_t>(files_.size()));
    if (added) {
      budget_.Take(2 * file.path.size() + 256);
      files_.push_back(std::move(file));
    }
    return it->second;
  }

  absl::Status OnSample(const PerfDataFile& file, const PerfRecord& record) {
    const PerfAttribute& attribute = file.AttributeOf(record);
    if (!builder_) Begin(attribute);
    if (attribute.name != event_) {
      ++other_events_;
      return absl::OkStatus();
    }
    if (!PerfDataFile::Parse(record, attribute, sample_).ok()) {
      ++damaged_;
      return absl::OkStatus();
    }
    if (samples_.empty()) first_ns_ = record.time_ns;
    samples_.push_back({record.time_ns - first_ns_, ThreadOf(), sample_.cpu, StackOf(record.misc),
                        static_cast<int64_t>(std::min<uint64_t>(sample_.period, INT64_MAX))});
    budget_.Take(2 * sizeof(Sample));
    return absl::OkStatus();
  }

  void Begin(const PerfAttribute& attribute) {
    event_ = attribute.name;
    const ValueType period =
        attribute.is_time() ? ValueType{"cpu", "nanoseconds"} : ValueType{event_, "count"};
    uint64_t count = std::max<uint64_t>(attribute.period, 1);
    if (attribute.is_frequency) count = attribute.is_time() ? 1'000'000'000 / count : 1;
    builder_.emplace(std::vector<ValueType>{{"samples", "count"}, period}, period,
                     static_cast<int64_t>(std::min<uint64_t>(count, INT64_MAX)));
  }

  ThreadId ThreadOf() {
    const Process* process = processes_.Find(sample_.pid);
    absl::string_view comm = process == nullptr ? "" : absl::string_view(process->comm);
    absl::string_view name = process == nullptr ? "" : process->ThreadComm(sample_.tid);
    if (sample_.pid == 0) comm = name = "swapper";
    return builder_->AddThread(sample_.pid, sample_.tid, comm, name);
  }

  uint32_t StackOf(uint16_t misc) {
    path_.clear();
    Mode mode = ModeOfMisc(misc);
    const Mode leaf_mode = mode;
    bool is_first = true;
    for (size_t i = 0; i < sample_.chain.size(); ++i) {
      const uint64_t address = sample_.chain[i];
      if (address == kMarkUserDeferred) {
        ++deferred_;
        path_.push_back(TextCode("[truncated]"));
        break;
      }
      if (address >= kFirstMark) {
        mode = address == kMarkKernel ? Mode::kKernel
               : address == kMarkUser ? Mode::kUser
                                      : Mode::kOther;
        is_first = true;
      } else {
        // All but where a part of the chain begins is where a call returns to.
        path_.push_back(CodeAt(mode, is_first ? address : address - 1));
        is_first = false;
      }
    }
    if (sample_.chain.empty()) path_.push_back(CodeAt(leaf_mode, sample_.ip));
    if (sample_.has_user_stack) AddInnermostUser(leaf_mode);
    return NodeOfPath();
  }

  // The frames above it are to be had from the copy of the stack alone.
  void AddInnermostUser(Mode leaf_mode) {
    if (sample_.user_ip == 0) return;  // a thread of the kernel
    ++raw_stacks_;
    if (leaf_mode != Mode::kUser || path_.empty()) {
      path_.push_back(CodeAt(Mode::kUser, sample_.user_ip));
    }
    path_.push_back(TextCode("[truncated]"));
  }

  uint32_t NodeOfPath() {
    uint32_t node = kNone;
    if (path_.size() > kMaxStackDepth) {
      path_.resize(kMaxStackDepth);
      path_.push_back(TextCode("[truncated]"));
      ++truncated_;
    }
    for (size_t i = path_.size(); i-- > 0;) {
      const auto [at, added] = node_index_.FindOrAdd(
          absl::HashOf(node, path_[i]), nodes_.size(),
          [&](uint32_t n) { return nodes_[n].caller == node && nodes_[n].code == path_[i]; });
      if (added) {
        nodes_.push_back({node, path_[i]});
        budget_.Take(8 * sizeof(Node));
      }
      node = at;
    }
    return node;
  }

  uint32_t CodeAt(Mode mode, uint64_t address) {
    if (mode == Mode::kKernel) return Intern({Code::Kind::kKernel, 0, address});
    if (mode == Mode::kOther) {
      ++guests_;
      return TextCode("[guest]");
    }
    const Process* process = processes_.Find(sample_.pid);
    const Mapping* mapping = process == nullptr ? nullptr : process->maps.Find({address});
    if (mapping == nullptr) return TextCode("[unknown]");
    const auto file = static_cast<uint32_t>(mapping->file.inode - 1);
    const std::string& path = files_[file].path;
    if (path == kAnonymousPath || absl::StartsWith(path, "[anon") || path == "[heap]") {
      return JitCode(*process, address);
    }
    return Intern({Code::Kind::kFile, file, mapping->ToFileOffset({address}).value});
  }

  uint32_t JitCode(const Process& process, uint64_t address) {
    const auto [it, added] =
        jit_numbers_.try_emplace(process.life, static_cast<uint32_t>(jits_.size()));
    if (added) {
      jits_.push_back({.pid = process.pid});
      // perf writes 0 with what it tells of processes that were there before.
      const auto began = began_ns_.find(process.pid);
      const bool known = began != began_ns_.end() && began->second != 0;
      jit_starts_ns_.push_back(known ? began->second : UINT64_MAX);
      budget_.Take(256);
    }
    return Intern({Code::Kind::kJit, it->second, address});
  }

  uint32_t TextCode(absl::string_view text) {
    const auto at = std::find(texts_.begin(), texts_.end(), text);
    const auto index = static_cast<uint32_t>(at - texts_.begin());
    if (at == texts_.end()) texts_.push_back(text);
    return Intern({Code::Kind::kText, index, 0});
  }

  uint32_t Intern(const Code& code) {
    const auto [at, added] = code_index_.FindOrAdd(absl::HashOf(code), code_.size(),
                                                   [&](uint32_t i) { return code_[i] == code; });
    if (added) {
      code_.push_back(code);
      budget_.Take(8 * sizeof(Code));
    }
    return at;
  }

  // Asks for the names of all code, and makes a location of each.
  absl::Status NameCode(std::vector<std::string>& notes) {
    std::vector<CodeNames::Image> images(files_.size());
    CodeNames::Kernel kernel;
    for (size_t i = 0; i < files_.size(); ++i) {
      images[i] = {
          .path = files_[i].path, .build_id = files_[i].build_id, .inode = files_[i].inode};
    }
    for (const Code& c : code_) {
      if (c.kind == Code::Kind::kFile) images[c.index].offsets.push_back(c.value);
      if (c.kind == Code::Kind::kKernel) kernel.addresses.push_back(c.value);
    }
    // Of one path and file; those that nothing runs in are not asked for.
    for (CodeNames::Image& image : images) {
      std::sort(image.offsets.begin(), image.offsets.end());
      image.frames.resize(image.offsets.size());
    }
    std::sort(kernel.addresses.begin(), kernel.addresses.end());
    kernel.names.resize(kernel.addresses.size());
    kernel.modules.resize(kernel.addresses.size());
    const auto known = build_ids_.find(kKernelImage);
    if (known != build_ids_.end()) kernel.build_id = known->second;
    kernel.symbol = kernel_symbol_;
    kernel.symbol_address = kernel_symbol_address_;
    if (names_ != nullptr) {
      names_->Name(images);
      if (!kernel.addresses.empty()) names_->Name(kernel);
    }
    NameJitCode();
    for (const Code& c : code_) {
      locations_.push_back(c.kind == Code::Kind::kFile     ? FileLocation(c, images[c.index])
                           : c.kind == Code::Kind::kKernel ? KernelLocation(c, kernel)
                           : c.kind == Code::Kind::kJit    ? JitLocation(c)
                                                           : TextLocation(c));
      JPROF_RETURN_IF_ERROR(budget_.status());
    }
    if (!kernel.why.empty()) notes.push_back(absl::StrCat("perf.data: ", kernel.why));
    constexpr size_t kTold = 5;
    size_t told = 0;
    for (const CodeNames::Image& image : images) {
      if (image.why.empty() || ++told > kTold) continue;
      notes.push_back(absl::StrCat("perf.data: no names in ", image.path, ": ", image.why));
    }
    told = 0;
    for (const CodeNames::Jit& jit : jits_) {
      if (jit.why.empty() || ++told > kTold) continue;
      notes.push_back(
          absl::StrCat("perf.data: no names in JIT code of process ", jit.pid, ": ", jit.why));
    }
    return absl::OkStatus();
  }

  void NameJitCode() {
    for (const Code& c : code_) {
      if (c.kind == Code::Kind::kJit) jits_[c.index].addresses.push_back(c.value);
    }
    for (size_t i = 0; i < jits_.size(); ++i) {
      CodeNames::Jit& jit = jits_[i];
      jit.age_ns = last_ns_ - std::min(last_ns_, jit_starts_ns_[i]);
      std::sort(jit.addresses.begin(), jit.addresses.end());
      jit.names.resize(jit.addresses.size());
      if (names_ != nullptr) names_->Name(jit);
    }
  }

  LocationId FileLocation(const Code& code, const CodeNames::Image& image) {
    const RecordedFile& file = files_[code.index];
    const ImageId id = builder_->AddImage(file.path, file.build_id, file.memory_start,
                                          file.memory_limit, file.file_offset);
    const ProfileImage& first = builder_->profile().images[id.value];
    uint64_t address = first.memory_start + (code.value - first.file_offset);
    if (address < first.memory_start || address >= first.memory_limit) address = 0;
    const auto at = static_cast<size_t>(
        std::lower_bound(image.offsets.begin(), image.offsets.end(), code.value) -
        image.offsets.begin());
    std::vector<Line> lines;
    for (const CodeNames::Frame& f : image.frames[at]) {
      lines.push_back(
          {builder_->AddFunction(f.name, f.system_name, f.file, f.start_line, FrameKind::kNative),
           f.line, f.column});
    }
    if (lines.empty()) {
      const std::string name = UnknownName(file.path, code.value);
      budget_.Take(name.size() + sizeof(name));
      lines.push_back({builder_->AddFunction(name, "", "", 0, FrameKind::kUnknown)});
    }
    return builder_->AddLocation(id, address, lines);
  }

  LocationId KernelLocation(const Code& code, const CodeNames::Kernel& kernel) {
    const auto at = static_cast<size_t>(
        std::lower_bound(kernel.addresses.begin(), kernel.addresses.end(), code.value) -
        kernel.addresses.begin());
    const std::string& module = kernel.modules[at];
    const ImageId image = builder_->AddImage(
        module.empty() ? std::string(kKernelImage) : absl::StrCat("[", module, "]"), "", 0, 0, 0);
    const absl::string_view name =
        kernel.names[at].empty() ? "[unknown] [kernel]" : absl::string_view(kernel.names[at]);
    const Line lines[] = {{builder_->AddFunction(name, name, "", 0, FrameKind::kKernel)}};
    return builder_->AddLocation(image, 0, lines);
  }

  LocationId JitLocation(const Code& code) {
    const CodeNames::Jit& jit = jits_[code.index];
    const auto at = static_cast<size_t>(
        std::lower_bound(jit.addresses.begin(), jit.addresses.end(), code.value) -
        jit.addresses.begin());
    const FrameText frame = jit.names[at].empty()
                                ? FrameText{.name = "[unknown] [jit]", .kind = FrameKind::kUnknown}
                                : SplitJitName(jit.names[at]);
    const Line lines[] = {{builder_->AddFunction(frame.name, frame.name, frame.file,
                                                 frame.start_line, frame.kind)}};
    return builder_->AddLocation(ImageId{}, 0, lines);
  }

  LocationId TextLocation(const Code& code) {
    const absl::string_view text = texts_[code.index];
    const FrameKind kind = text == "[guest]" ? FrameKind::kMarker : KindOfName(text);
    const Line lines[] = {{builder_->AddFunction(text, text, "", 0, kind)}};
    return builder_->AddLocation(ImageId{}, 0, lines);
  }

  absl::Status AddSamples() {
    std::vector<StackId> stacks;
    stacks.reserve(nodes_.size());
    for (const Node& node : nodes_) {
      const StackId caller = node.caller == kNone ? StackId{} : stacks[node.caller];
      stacks.push_back(builder_->AddStack(caller, locations_[node.code]));
    }
    for (const Sample& s : samples_) {
      const std::array<int64_t, 2> values = {1, s.period};
      AddSample(*builder_, static_cast<int64_t>(std::min<uint64_t>(s.time_ns, INT64_MAX)), s.thread,
                s.cpu, s.node == kNone ? StackId{} : stacks[s.node], values);
    }
    builder_->accounting().taken += lost_;
    builder_->accounting().dropped_ring_full += lost_;
    return CheckRoom(*builder_);
  }

  void Head(const PerfDataFile& file) {
    const uint64_t duration = samples_.empty() ? 0 : samples_.back().time_ns;
    const int64_t start =
        file.wall_offset_ns() == 0
            ? 0
            : static_cast<int64_t>(first_ns_ + static_cast<uint64_t>(file.wall_offset_ns()));
    builder_->SetTimes(std::max<int64_t>(start, 0),
                       static_cast<int64_t>(std::min<uint64_t>(duration, INT64_MAX)));
    builder_->SetTitle(file.command());
    if (!file.hostname().empty()) {
      builder_->AddComment(absl::StrCat("recorded by perf on ", file.hostname(), ", Linux ",
                                        file.release(), ", event ", event_));
    }
    if (lost_ > 0) builder_->AddComment(absl::StrCat(lost_, " samples were lost"));
  }

  void AddNotes(std::vector<std::string>& notes) const {
    NoteTruncated("perf.data", truncated_, notes);
    auto note = [&](uint64_t count, absl::string_view what) {
      if (count > 0) notes.push_back(absl::StrCat("perf.data: ", count, " ", what));
    };
    note(other_events_, absl::StrCat("samples of other events than ", event_));
    note(lost_, "samples were lost while recording");
    note(raw_stacks_,
         "samples have their user stack as bytes only (--call-graph dwarf): of it the innermost "
         "frame is shown");
    note(deferred_, "samples have their user stack in records that are not read");
    note(guests_, "frames of guests or a hypervisor have no names");
    note(damaged_, "records are damaged or cut short");
  }

  CodeNames* const names_;
  ProcessTable processes_;
  absl::flat_hash_map<std::string, std::string> build_ids_;  // by path
  std::vector<RecordedFile> files_;
  absl::flat_hash_map<std::tuple<std::string, std::string, uint64_t>, uint32_t> file_numbers_;
  std::string kernel_symbol_;
  uint64_t kernel_symbol_address_ = 0;
  std::vector<CodeNames::Jit> jits_;
  std::vector<uint64_t> jit_starts_ns_;  // by number in jits_; UINT64_MAX: before the recording
  absl::flat_hash_map<Pid, uint64_t> began_ns_;  // by fork or exec; 0: before the recording
  absl::flat_hash_map<uint64_t, uint32_t> jit_numbers_;  // by life of a process
  std::vector<absl::string_view> texts_;
  std::vector<Code> code_;
  IndexTable code_index_;
  std::vector<LocationId> locations_;  // by code
  std::vector<Node> nodes_;
  IndexTable node_index_;
  std::vector<Sample> samples_;
  std::optional<ProfileBuilder> builder_;
  std::string event_;
  uint64_t first_ns_ = 0;
  uint64_t last_ns_ = 0;  // of all records
  PerfSample sample_;
  std::vector<uint32_t> path_;  // leaf first
  uint64_t lost_ = 0;
  uint64_t other_events_ = 0;
  uint64_t truncated_ = 0;
  uint64_t raw_stacks_ = 0;
  uint64_t deferred_ = 0;
  uint64_t guests_ = 0;
  uint64_t damaged_ = 0;
  TableBudget budget_;
};

}  // namespace

bool LooksPerfData(absl::string_view head) {
  return absl::StartsWith(head, "PERFILE2") || absl::StartsWith(head, "2ELIFREP");
}

absl::StatusOr<Imported> ReadPerfData(Input& input, CodeNames* names) {
  JPROF_ASSIGN_OR_RETURN(const std::string bytes, input.Rest(kMaxBytes));
  return PerfDataReader(names).Read(bytes);
}

}  // namespace jprof
