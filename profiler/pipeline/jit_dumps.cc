#include "profiler/pipeline/jit_dumps.h"

#include <algorithm>
#include <chrono>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "helpers/perfmap/jit_name.h"

namespace jprof {
namespace {

using Clock = std::chrono::steady_clock;

constexpr uint64_t kUpdateAfterNs = 1'000'000'000;
// Of all dumps behind file systems that may be slow.
constexpr std::chrono::milliseconds kSlowAtTheEnd{2000};
constexpr uint64_t kRemoteShare = 20;  // one of so many parts of the time goes into them

// Gives the stacks of one recording's samples, in their order of time, the names of one dump; of
// one that was given up, none.
class StackNamer {
 public:
  StackNamer(FrameTable& frames, const std::optional<JitDump>& dump, bool tiers)
      : frames_(frames), tiers_(tiers) {
    if (dump) replay_.emplace(*dump);
  }

  // `dump_of`: for each stack, kNone if it has no kDumped frames.
  uint32_t Name(uint32_t stack, uint64_t time_ns, const std::vector<uint32_t>& dump_of) {
    if (replay_) replay_->AdvanceTo(time_ns);
    const uint64_t version = replay_ ? replay_->version() : 0;
    std::vector<uint32_t> path;  // up to a stack that is as it should be
    uint32_t named = FrameTable::kNoStack;
    for (uint32_t at = stack; at != FrameTable::kNoStack; at = frames_.stacks()[at].caller) {
      if (dump_of[at] == JitDumps::kNone) {
        named = at;
        break;
      }
      if (auto known = named_.find(at);
          known != named_.end() && known->second.version == version) {
        named = known->second.stack;
        break;
      }
      path.push_back(at);
    }
    for (auto it = path.rbegin(); it != path.rend(); ++it) {
      named = frames_.InternStack(named, NameFrame(frames_.stacks()[*it].frame));
      named_.insert_or_assign(*it, Named{version, named});
    }
    return named;
  }

 private:
  struct Named {
    uint64_t version;
    uint32_t stack;
  };

  uint32_t NameFrame(uint32_t id) {
    const PendingFrame frame = frames_.frames()[id];
    if (frame.kind != PendingFrame::Kind::kDumped) return id;
    const PendingDumped dumped = frames_.dumped()[frame.index];
    if (!replay_) return dumped.otherwise;
    const std::optional<JitDumpReplay::Code> code = replay_->Find({dumped.address});
    if (!code) return Unnamed(dumped.otherwise);
    // The replay's texts stay where they are.
    const std::tuple key(code->name.data(), code->file.data(), code->line, code->column);
    if (auto known = frame_ids_.find(key); known != frame_ids_.end()) return known->second;
    return frame_ids_[key] = Located(*code);
  }

  uint32_t Located(const JitDumpReplay::Code& code) {
    PendingName name = NameOfJitCode(code.name, tiers_);
    // A line of another file is one of an inlined function.
    const bool has_line = code.line != 0 && (name.file.empty() || name.file == code.file);
    if (has_line && name.file.empty()) name.file = std::string(code.file);
    const uint32_t id = frames_.InternName(std::move(name));
    if (!has_line) return frames_.InternFrame({.kind = PendingFrame::Kind::kNamed, .index = id});
    return frames_.InternFrame({.kind = PendingFrame::Kind::kLocated,
                                .index = frames_.InternLines({{id, code.line, code.column}})});
  }

  uint32_t Unnamed(uint32_t otherwise) {
    const PendingFrame frame = frames_.frames()[otherwise];
    if (frame.kind != PendingFrame::Kind::kUnknown) return otherwise;
    PendingName name = frames_.names()[frame.index];
    absl::StrAppend(&name.why, ", and its jitdump has no code there at that time");
    return frames_.InternFrame({.kind = PendingFrame::Kind::kUnknown,
                                .index = frames_.InternName(std::move(name))});
  }

  FrameTable& frames_;
  std::optional<JitDumpReplay> replay_;
  const bool tiers_;
  absl::flat_hash_map<uint32_t, Named> named_;  // by stack
  absl::flat_hash_map<std::tuple<const char*, const char*, uint32_t, uint32_t>, uint32_t>
      frame_ids_;
};

}  // namespace

PendingName NameOfJitCode(absl::string_view text, bool tiers) {
  JitName name = ParseJitName(text);
  if (tiers && name.tier != 0) name.name.insert(name.name.begin(), name.tier);
  return {.name = std::move(name.name),
          .file = std::move(name.file),
          .start_line = name.start_line,
          .kind = FrameKind::kJit,
          .image = "[jit]"};
}

void JitDumps::OnMap(const MapEvent& map) {
  if (!map.file.valid() || !JitDump::IsPathOfOne(map.path)) return;
  if (auto known = of_.find(map.pid);
      known != of_.end() && dumps_[known->second].file == map.file) {
    return;
  }
  if (dumps_.size() >= kMaxDumps) {
    ++over_limit_;
    return;
  }
  const std::string name = absl::StrCat("process ", map.pid, ": ", map.path);
  absl::StatusOr<JitDump> dump = opener_(map, name);
  Dump& added = dumps_.emplace_back();
  added.file = map.file;
  if (dump.ok()) {
    added.dump = *std::move(dump);
  } else {
    added.trouble = absl::StrCat(name, ": ", dump.status().message(), "; its names are not used");
  }
  of_[map.pid] = static_cast<uint32_t>(dumps_.size() - 1);
}

void JitDumps::Update(uint64_t now_ns) {
  if (dumps_.empty() || now_ns < updated_ns_ + kUpdateAfterNs) return;
  slow_ns_ = 0;
  UpdateAll(now_ns, /*to_the_end=*/false);
  updated_ns_ += kRemoteShare * slow_ns_;
}

void JitDumps::Update(Dump& dump, uint64_t now_ns) {
  const uint64_t read_before = dump.dump->bytes_read();
  const auto began = Clock::now();
  absl::Status updated = dump.dump->Update(now_ns);
  if (dump.dump->is_remote()) {
    slow_ns_ += static_cast<uint64_t>(std::chrono::nanoseconds(Clock::now() - began).count());
  }
  read_bytes_ += dump.dump->bytes_read() - read_before;
  dump.trouble = dump.dump->Trouble();
  if (!updated.ok() && dump.trouble.empty()) {
    dump.trouble = absl::StrCat(updated.message(), "; its newer names are not used");
  }
}

void JitDumps::UpdateAll(uint64_t now_ns, bool to_the_end) {
  updated_ns_ = now_ns;
  const auto slow_until = Clock::now() + (to_the_end ? kSlowAtTheEnd : GrowingFile::kPatience);
  const size_t first = next_slow_;
  bool is_late = false;
  size_t bytes = 0;
  for (size_t i = 0; i < dumps_.size(); ++i) {
    const size_t number = (first + i) % dumps_.size();
    Dump& dump = dumps_[number];
    if (!dump.dump) continue;
    const size_t others = bytes;
    do {
      const bool too_late = dump.dump->is_remote() && Clock::now() >= slow_until;
      if (too_late && !std::exchange(is_late, true)) next_slow_ = number;
      if (read_bytes_ >= options_.read_bytes) {
        dump.trouble = absl::StrCat(dump.dump->name(), ": ", options_.read_bytes >> 20,
                                    " MB of jitdumps were read; its newer names are not used");
      } else if (too_late && to_the_end) {
        dump.trouble = absl::StrCat(
            dump.dump->name(), ": its file system is slow; its newer names are not used");
      } else if (!too_late) {
        Update(dump, now_ns);
      }
      bytes = others + dump.dump->memory_bytes();
      if (too_late || read_bytes_ >= options_.read_bytes) break;
    } while (to_the_end && dump.dump->behind() && bytes <= options_.max_bytes);
    if (bytes > options_.max_bytes) {
      bytes = others;
      dump.trouble =
          absl::StrCat(dump.dump->name(), ": all jitdumps together exceed ",
                       options_.max_bytes >> 20, " MB; its names are not used");
      dump.dump.reset();
    }
  }
}

void JitDumps::NameStacks(FrameTable& frames, std::vector<TimedStack> stacks, uint64_t now_ns) {
  if (dumps_.empty()) return;
  UpdateAll(now_ns, /*to_the_end=*/true);
  std::vector<uint32_t> dump_of(frames.stacks().size(), kNone);  // of each stack, by its frames
  for (size_t i = 0; i < dump_of.size(); ++i) {
    const FrameTable::Node& node = frames.stacks()[i];
    const PendingFrame& frame = frames.frames()[node.frame];
    if (frame.kind == PendingFrame::Kind::kDumped) {
      dump_of[i] = frames.dumped()[frame.index].dump;
    } else if (node.caller != FrameTable::kNoStack) {
      dump_of[i] = dump_of[node.caller];
    }
  }
  std::erase_if(stacks, [&](const TimedStack& timed) {
    return *timed.stack == FrameTable::kNoStack || dump_of[*timed.stack] == kNone;
  });
  std::stable_sort(stacks.begin(), stacks.end(), [](const TimedStack& a, const TimedStack& b) {
    return a.time_ns < b.time_ns;
  });
  std::vector<std::optional<StackNamer>> namers(dumps_.size());
  for (const TimedStack& timed : stacks) {
    const uint32_t number = dump_of[*timed.stack];
    std::optional<StackNamer>& namer = namers[number];
    if (!namer) namer.emplace(frames, dumps_[number].dump, options_.tiers);
    *timed.stack = namer->Name(*timed.stack, timed.time_ns, dump_of);
  }
}

std::vector<std::string> JitDumps::Troubles() const {
  std::vector<std::string> troubles;
  for (const Dump& dump : dumps_) {
    if (!dump.trouble.empty()) troubles.push_back(dump.trouble);
  }
  if (over_limit_ > 0) {
    troubles.push_back(
        absl::StrCat(over_limit_, " more processes are not read: there are more than ", kMaxDumps));
  }
  return troubles;
}

}  // namespace jprof
