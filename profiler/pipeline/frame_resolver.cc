#include "profiler/pipeline/frame_resolver.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace jprof {
namespace {

// What a runtime says of a frame is believed for so long: its code may be thrown away and other
// code of the same function come to lie where it was. For longer each time that it says the same.
constexpr uint64_t kLocatedForNs = 1'000'000'000;
constexpr uint64_t kMaxLocatedForNs = 8 * kLocatedForNs;
constexpr size_t kMaxLocated = 1 << 17;
constexpr size_t kMaxProcessesNoted = 1 << 16;
constexpr uint32_t kMinCorruptToReject = 64;
// As V8's stack traces have it: "at async render".
constexpr char kAsyncPrefix[] = "async ";

// Memory that a runtime shares with itself, to write its code at another address than it executes
// it at, or with its children. It holds code of no file, as a rule.
bool IsSharedMemory(absl::string_view path) {
  return absl::StartsWith(path, "/memfd:") || absl::StartsWith(path, "/dev/zero") ||
         absl::StartsWith(path, "/SYSV") || absl::StartsWith(path, "/dev/shm/");
}

}  // namespace

uint32_t FrameResolver::InternRuntimeName(FrameName name, Pid pid, uint8_t runtime) {
  PendingName pending = {
      std::move(name.name), std::move(name.file), name.start_line, name.kind,
      absl::StrCat("[", sources_.runtimes.RuntimeByNumber(runtime)->name(), "]")};
  RuntimeInstance* instance = sources_.runtimes.Instance(pid, runtime);
  if (sources_.source_maps && instance != nullptr && name.place.script != 0) {
    pending.map = sources_.source_maps->Find(pid, name.place.script, pending.file, [&] {
      return instance->SourceMapUrl(name.place.script);
    });
    // Without a map, functions are told apart by what is shown of them.
    if (pending.map != SourceMaps::kNone) pending.place = name.place;
    pending.place.script = 0;
  }
  return sources_.frames.InternName(std::move(pending));
}

uint32_t FrameResolver::NamedFrame(PendingName name, PendingFrame::Kind kind) {
  const uint32_t index = sources_.frames.InternName(std::move(name));
  return sources_.frames.InternFrame({.kind = kind, .index = index});
}

FrameResolver::Resolved FrameResolver::Resolve(const RawFrame& frame, std::optional<uint32_t> name,
                                               Pid pid, uint64_t time_ns, Grounds& grounds) {
  switch (frame.kind) {
    case RawFrame::Kind::kRuntime:
      if (!name) break;
      if (answers_.size() >= kMaxProcessesNoted) answers_.clear();
      ++answers_[pid].named;
      return {RuntimeFrame(frame, pid, *name, time_ns)};
    case RawFrame::Kind::kBuiltin: {
      const Resolved native = NativeFrame(frame, pid, time_ns, grounds);
      PendingFrame builtin = sources_.frames.frames()[native.frame];
      if (builtin.kind != PendingFrame::Kind::kImage ||
          sources_.runtimes.RuntimeByNumber(frame.runtime) == nullptr) {
        return native;
      }
      builtin.kind = PendingFrame::Kind::kBuiltin;
      builtin.runtime = frame.runtime;
      return {sources_.frames.InternFrame(builtin)};
    }
    case RawFrame::Kind::kUnresolved:
      if (frame.detail == JP_SKIPPED) {
        return {NamedFrame({.name = "[native frames skipped]",
                            .why = "native code without call-frame information and frame pointers "
                                   "lies between; build it with -fasynchronous-unwind-tables"},
                           PendingFrame::Kind::kUnknown)};
      }
      OnUnresolved(frame, pid);
      break;
    case RawFrame::Kind::kNative:
      return NativeFrame(frame, pid, time_ns, grounds);
  }
  return {NamelessFrame(frame)};
}

uint32_t FrameResolver::NamelessFrame(const RawFrame& frame) {
  const Runtime* runtime = sources_.runtimes.RuntimeByNumber(frame.runtime);
  const absl::string_view who = runtime == nullptr ? "jit" : runtime->name();
  absl::string_view what = "not understood";
  ScriptLoss loss = ScriptLoss::kCorrupt;
  absl::string_view why =
      "what lies in its frame reads as no function: the frame was being made, or the layout does "
      "not fit";
  if (frame.kind == RawFrame::Kind::kRuntime) {
    what = "name lost";
    loss = ScriptLoss::kNone;
    why = "the record of its name was lost or damaged; a lower -F leaves more room";
  } else if (frame.detail == JP_LATE) {
    what = "read too late";
    loss = ScriptLoss::kStale;
    why = "jprof found no CPU within milliseconds of the sample; with the right to load BPF names "
          "are read at its instant";
  } else if (frame.detail == JP_UNREADABLE) {
    what = "unreadable";
    loss = ScriptLoss::kUnreadable;
    why = "its objects were not in memory at that instant, and an interrupt cannot wait for them";
  }
  return NamedFrame({.name = absl::StrCat("[", who, ": ", what, "]"),
                     .image = absl::StrCat("[", who, "]"),
                     .why = std::string(why),
                     .loss = loss},
                    PendingFrame::Kind::kUnknown);
}

// A layout that does not fit the process names nothing, since the helper believes no object whose
// type it has not seen; but it says so frame by frame, in each sample. When that is all it says, it
// is not asked any more, and perf maps have the word.
void FrameResolver::OnUnresolved(const RawFrame& frame, Pid pid) {
  if (frame.detail != JP_CORRUPT) return;
  HelperAnswers& answers = answers_[pid];
  if (++answers.corrupt >= kMinCorruptToReject && answers.corrupt > 4 * answers.named) {
    sources_.runtimes.Reject(pid, frame.runtime);
    answers = {};
  }
}

FrameResolver::Resolved FrameResolver::NativeFrame(const RawFrame& frame, Pid pid, uint64_t time_ns,
                                                   Grounds& grounds) {
  const Address lookup{frame.address - (frame.is_return_address ? 1 : 0)};
  const Mapping* mapping = sources_.find_mapping(pid, lookup);
  if (mapping == nullptr) {
    grounds.incomplete = true;
    const uint32_t unknown =
        NamedFrame({.name = "[unknown]",
                    .why = sources_.processes.Find(pid) == nullptr
                               ? "the process was gone before its mappings could be read"
                               : "its address lay in no executable mapping that jprof saw"},
                   PendingFrame::Kind::kUnknown);
    return {unknown, /*plausible=*/false};
  }
  const bool has_file = mapping->file.valid() || mapping->path == "[vdso]";
  if (has_file && !IsSharedMemory(mapping->path)) return {ImageFrame(pid, *mapping, lookup)};
  if (auto name = sources_.runtimes.NameCode(pid, lookup)) {
    return {NamedFrame({.name = std::move(name->name),
                        .file = std::move(name->file),
                        .kind = name->kind,
                        .image = "[jit]"})};
  }
  // Both may change or end with what the perf map is asked for.
  const Mapping place = *mapping;
  const uint32_t otherwise = PerfMapFrame(pid, place, lookup, time_ns, grounds);
  const uint32_t dump = sources_.jit_dumps.Of(pid);
  if (dump == JitDumps::kNone) return {otherwise};
  return {sources_.frames.InternDumped({dump, lookup.value, otherwise})};
}

uint32_t FrameResolver::ImageFrame(Pid pid, const Mapping& mapping, Address lookup) {
  ImageTable& images = sources_.images;
  uint32_t image = images.Find(mapping.file, mapping.path);
  if (image == ImageTable::kNone) {
    image = images.Add(MapEvent{0, pid, mapping.range, mapping.offset, mapping.file, mapping.path});
    if (image == ImageTable::kNone) {
      return NamedFrame({.name = "[unknown]", .why = "more mapped files than jprof keeps"},
                        PendingFrame::Kind::kUnknown);
    }
  }
  return sources_.frames.InternFrame({.kind = PendingFrame::Kind::kImage,
                                      .index = image,
                                      .value = mapping.ToFileOffset(lookup).value});
}

uint32_t FrameResolver::PerfMapFrame(Pid pid, const Mapping& mapping, Address lookup,
                                     uint64_t time_ns, Grounds& grounds) {
  grounds.uses_perf_map = true;
  PerfMap* map = sources_.perf_maps.Find(pid, time_ns);
  if (map != nullptr) {
    jvms_without_map_.erase(pid);
    grounds.perf_map_generation = map->generation();
    if (auto name = map->Find(lookup)) return NamedFrame(NameOfJitCode(*name, options_.tiers));
  }
  if (mapping.file.valid()) return ImageFrame(pid, mapping, lookup);
  return NamedFrame({.name = "[unknown] [jit]",
                     .image = "[jit]",
                     .why = WhyNoJitName(pid, map != nullptr)},
                    PendingFrame::Kind::kUnknown);
}

// A JVM writes its perf map when it is told to, and neither before nor after.
bool FrameResolver::IsJvm(Pid pid) {
  auto [known, is_new] = is_jvm_.try_emplace(pid, false);
  if (!is_new) return known->second;
  const Process* process = sources_.processes.Find(pid);
  known->second =
      process != nullptr && absl::c_any_of(process->maps.Mappings(), [](const Mapping& mapping) {
        return absl::EndsWith(mapping.path, "/libjvm.so");
      });
  return known->second;
}

std::string FrameResolver::WhyNoJitName(Pid pid, bool asked_map) {
  std::string map = sources_.perf_maps.WhyNoName(pid, asked_map);
  if (sources_.perf_maps.IsAbsent(pid) && sources_.jit_dumps.Of(pid) == JitDumps::kNone &&
      IsJvm(pid)) {
    absl::StrAppend(&map, "; a JVM writes one for jcmd PID Compiler.perfmap");
    if (jvms_without_map_.size() < kMaxJvms) jvms_without_map_.insert(pid);
  }
  if (!options_.use_helpers) return absl::StrCat("--no-helpers, and ", map);
  const std::string refusal = sources_.runtimes.Refusal(pid);
  if (!refusal.empty()) return absl::StrCat("refused: ", refusal, "; ", map);
  return absl::StrCat(sources_.runtimes.HasRuntime(pid)
                          ? "JIT code that no helper was asked about, and "
                          : "JIT code of no runtime that jprof knows, and ",
                      map);
}

uint32_t FrameResolver::RuntimeFrame(const RawFrame& frame, Pid pid, uint32_t name,
                                     uint64_t time_ns) {
  const std::tuple key(frame.symbol, frame.address, frame.detail, frame.is_return_address,
                       frame.is_async);
  auto known = located_.find(key);
  if (known != located_.end()) {
    Located& before = known->second;
    if (time_ns < before.located_ns + before.believed_for_ns) return before.frame;
    const uint32_t located = Locate(frame, pid, name);
    const bool names_function = sources_.frames.names()[name].kind != FrameKind::kUnknown;
    const uint64_t for_ns = names_function && located == before.frame
                                ? std::min(2 * before.believed_for_ns, kMaxLocatedForNs)
                                : kLocatedForNs;
    before = {located, time_ns, for_ns};
    return located;
  }
  const uint32_t located = Locate(frame, pid, name);
  if (located_.size() >= kMaxLocated) located_.clear();
  located_.insert_or_assign(key, Located{located, time_ns, kLocatedForNs});
  return located;
}

uint32_t FrameResolver::MarkedName(uint32_t name, char tier) {
  if (tier == '\0') return name;
  PendingName marked = sources_.frames.names()[name];
  marked.Prefix({&tier, 1});
  return sources_.frames.InternName(std::move(marked));
}

uint32_t FrameResolver::Locate(const RawFrame& frame, Pid pid, uint32_t name) {
  FrameTable& frames = sources_.frames;
  if (frame.is_async) {
    PendingName awaiting = frames.names()[name];
    awaiting.Prefix(kAsyncPrefix);
    awaiting.kind = FrameKind::kAsync;
    name = frames.InternName(std::move(awaiting));
  }
  std::vector<PendingLine> lines;
  if (RuntimeInstance* instance = sources_.runtimes.Instance(pid, frame.runtime)) {
    const bool has_tier = !frame.is_async && !frames.names()[name].name.empty();
    const char tier = options_.tiers && has_tier ? instance->Tier(frame) : '\0';
    name = MarkedName(name, tier);
    for (FrameLine& line : instance->Locate(frame)) {
      const uint32_t function = InternRuntimeName(std::move(line.function), pid, frame.runtime);
      lines.push_back({MarkedName(function, tier), line.line, line.column});
    }
  }
  const bool named = frames.names()[name].kind != FrameKind::kUnknown;
  if (lines.empty() && !named) {
    PendingName unknown = frames.names()[name];
    unknown.why = "the code it runs is of no function that the runtime knows now";
    return NamedFrame(std::move(unknown), PendingFrame::Kind::kUnknown);
  }
  if (lines.empty()) return frames.InternFrame({.kind = PendingFrame::Kind::kNamed, .index = name});
  // What the helper read at the instant of the sample is the name; the line was looked up later.
  if (named) lines.back().name = name;
  return frames.InternFrame(
      {.kind = PendingFrame::Kind::kLocated, .index = frames.InternLines(std::move(lines))});
}

}  // namespace jprof
