#include "profiler/pipeline/pipeline.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <variant>

#include "absl/strings/str_cat.h"
#include "profiler/core/status.h"
#include "profiler/pipeline/debug_files.h"
#include "profiler/process/target_file.h"

namespace jprof {
namespace {

// A stack whose addresses lie in no mapping that we know of makes us read the process's maps, at
// most this often for one process.
constexpr uint64_t kRereadMapsAfterNs = 200'000'000;
constexpr uint64_t kRereadMapsShare =
    50;  // at most one of so many parts of the time goes into one process's
constexpr size_t kMaxProcessesNoted = 1 << 16;
// Stands below the stacks of samples that may be in mappings of which the record was lost.
constexpr char kInGap[] = "[mapping records lost]";
// The first of the names of threads, processes and control groups.
constexpr char kLeftOutComm[] = "[left out]";

// Longer than a sample takes, and than its record is under way.
constexpr uint64_t kForgetStepNs = 1'000'000'000;

// Of a live recording; it takes a tenth of a second.
constexpr uint64_t kReloadKernelAfterNs = 10'000'000'000;
// Tables of which that part is in use take time at each snapshot.
constexpr size_t kForgetInternedPart = 8;

// With what keeping one takes besides.
size_t BytesOf(const StackEvent& stack) {
  return 256 + stack.frames.size() * sizeof(stack.frames[0]);
}
size_t BytesOf(const std::vector<uint64_t>& addresses) {
  return 64 + addresses.size() * sizeof(addresses[0]);
}

MapEvent ToMapEvent(Pid pid, uint64_t time_ns, const ProcMapping& m) {
  // Anonymous code has one name in events, whatever the target calls it.
  const bool anonymous = !m.file.valid() && m.path != "[vdso]" && m.path != "[vsyscall]";
  return MapEvent{time_ns, pid, m.range, m.offset, m.file, anonymous ? "//anon" : m.path};
}

}  // namespace

absl::StatusOr<std::optional<SourceMaps::Options>> OpenSourceMaps(const std::string& where,
                                                                  PipelineWorld& world) {
  if (where.empty()) return std::nullopt;
  if (where == "auto") {
    world.open_source_map = OpenNamedByProcess;
    return SourceMaps::Options();
  }
  const int fd = ::open(where.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return ErrnoStatus(errno, absl::StrCat("--source-maps ", where));
  world.open_source_map = [directory = std::make_shared<const UniqueFd>(fd)](
                              Pid, const std::string& path) {
    return OpenInRoot(*directory, path, LinkPolicy::kFollowInRoot, path);
  };
  return SourceMaps::Options{.in_directory = true};
}

Pipeline::Pipeline(PipelineOptions options, const RuntimeSet& runtimes, LayoutSink& sink,
                   PipelineWorld world)
    : options_(options),
      world_(std::move(world)),
      sink_(sink),
      images_([this](const MapEvent& map) { return OpenFirst(map); }, world_.open_root,
              options.max_pinned_files),
      runtimes_(runtimes, sink,
                {.open_image = [this](const MapEvent& map) { return OpenImage(map); },
                 .read_maps = [this](Pid pid) { return world_.read_maps(pid); },
                 .open_memory = [this](Pid pid) { return world_.open_memory(pid); },
                 .now = [this] { return world_.now(); }},
                {.async = options_.async, .script_places = options_.source_maps.has_value()}),
      frames_(options_.max_frame_bytes),
      jit_dumps_(
          [this](const MapEvent& map, absl::string_view name) -> absl::StatusOr<JitDump> {
            absl::StatusOr<UniqueFd> file = OpenKept(map);
            if (!file.ok()) return file.status();
            return world_.open_jit_dump(map.pid, *std::move(file), name);
          },
          {.tiers = options.tiers,
           .max_bytes = options.max_perf_map_bytes,
           .read_bytes = options.max_perf_map_reads}),
      perf_maps_(world_.open_perf_map, {.memory_bytes = options.max_perf_map_bytes,
                                        .read_bytes = options.max_perf_map_reads}),
      resolver_({.use_helpers = options.use_helpers, .tiers = options.tiers},
                {.processes = processes_,
                 .find_mapping = [this](Pid pid, Address at) { return FindMapping(pid, at); },
                 .runtimes = runtimes_,
                 .images = images_,
                 .jit_dumps = jit_dumps_,
                 .perf_maps = perf_maps_,
                 .source_maps = source_maps_,
                 .frames = frames_}),
      kernel_names_(world_.kallsyms, world_.modules, options.live ? kReloadKernelAfterNs : 0,
                    world_.name_kernel),
      forget_interned_at_(options_.max_frame_bytes / kForgetInternedPart),
      samples_(options_.max_samples) {
  InternComm(kLeftOutComm);
  if (options_.source_maps && world_.open_source_map) {
    source_maps_.emplace(world_.open_source_map, *options_.source_maps);
  }
  if (options_.unwind_sink == nullptr) return;
  unwind_.emplace(*options_.unwind_sink,
                  UnwindTables::World{
                      .open_image = [this](const MapEvent& map) { return OpenImage(map); },
                      .open_debug_file =
                          [this](const std::string& build_id) { return OpenDebugFile(build_id); },
                      .now = [this] { return world_.now(); },
                      .cache = options_.unwind_cache},
                  options_.unwind_limits);
}

Pipeline::~Pipeline() = default;

absl::StatusOr<UniqueFd> Pipeline::OpenFirst(const MapEvent& map) {
  absl::StatusOr<UniqueFd> file = world_.open_file(map);
  if (!absl::IsNotFound(file.status()) || map.time_ns == 0 || !world_.open_file_through)
    return file;
  const Process* process = processes_.Find(map.pid);
  std::vector<Pid> roots = {0};
  if (process != nullptr && process->parent != 0) roots.insert(roots.begin(), process->parent);
  for (Pid root_of : roots) {
    absl::StatusOr<UniqueFd> same = world_.open_file_through(map, root_of);
    if (same.ok()) return same;
  }
  return file;
}

absl::StatusOr<UniqueFd> Pipeline::OpenKept(const MapEvent& map) {
  const uint32_t known = images_.Find(map.file, map.path);
  if (known == ImageTable::kNone || images_.images()[known].file == nullptr) {
    return world_.open_file(map);
  }
  return UniqueFd(::fcntl(images_.images()[known].file->get(), F_DUPFD_CLOEXEC, 0));
}

absl::StatusOr<UniqueFd> Pipeline::OpenAgain(const MapEvent& map) {
  absl::StatusOr<UniqueFd> file = OpenKept(map);
  if (!file.ok() || !IsPathOnly(*file)) return file;
  return world_.image_files.open_again(*file, map.path);
}

absl::StatusOr<ElfFile> Pipeline::OpenImage(const MapEvent& map) {
  absl::StatusOr<UniqueFd> file = OpenAgain(map);
  if (!file.ok()) return file.status();
  return ElfFile::Open(*std::move(file), map.path);
}

absl::StatusOr<ElfFile> Pipeline::OpenDebugFile(const std::string& build_id) const {
  DebugFiles files({DebugFiles::Place()}, nullptr, world_.image_files.open_debug_file);
  for (UniqueFd& file : files.Find(0, {.build_id = build_id})) {
    absl::StatusOr<ElfFile> debug = ElfFile::Open(std::move(file), build_id);
    if (debug.ok() && debug->build_id() == build_id) return debug;
  }
  return absl::NotFoundError(absl::StrCat("no debug file of build ID ", build_id));
}

void Pipeline::Handle(Event event) {
  if (auto* sample = std::get_if<SampleEvent>(&event)) {
    OnSample(*sample);
  } else if (auto* stack = std::get_if<StackEvent>(&event)) {
    OnNumber(stack->number);
    stack_bytes_ += BytesOf(*stack);
    user_stacks_[stack->number] = UserStack{.event = std::move(*stack)};
  } else if (auto* kernel = std::get_if<KernelStackEvent>(&event)) {
    OnNumber(kernel->number);
    stack_bytes_ += BytesOf(kernel->addresses);
    kernel_stacks_[kernel->number] = std::move(kernel->addresses);
    kernel_names_.Begin();
  } else if (auto* symbol = std::get_if<SymbolEvent>(&event)) {
    OnSymbol(*symbol);
  } else if (auto* lost = std::get_if<LostEvent>(&event)) {
    OnLost(*lost);
  } else if (auto* map = std::get_if<MapEvent>(&event)) {
    OnMap(*map);
  } else {
    if (auto* comm = std::get_if<CommEvent>(&event); comm != nullptr && comm->exec) {
      Forget(comm->pid);
      if (mapping_losses_ != 0) MapsReadOf(comm->pid).losses = mapping_losses_;
    } else if (auto* fork = std::get_if<ForkEvent>(&event);
               fork != nullptr && fork->pid != fork->parent_pid && options_.use_helpers) {
      if (options_.only_pid == 0) runtimes_.OnFork(fork->parent_pid, fork->pid);
      // The end of an earlier process with this number may have gone by unheard.
      if (source_maps_) source_maps_->Forget(fork->pid);
    }
    processes_.Apply(event);
    if (auto* fork = std::get_if<ForkEvent>(&event);
        mapping_losses_ != 0 && fork != nullptr && fork->pid != fork->parent_pid) {
      const MapsRead parents = MapsReadOf(fork->parent_pid);
      MapsReadOf(fork->pid) = parents;
    }
    if (auto* fork = std::get_if<ForkEvent>(&event);
        unwind_ && fork != nullptr && fork->pid != fork->parent_pid) {
      unwind_->OnChange(fork->pid);
    }
    // With its last thread, which need not be the main one.
    if (auto* exit = std::get_if<ExitEvent>(&event)) {
      const Process* process = processes_.Find(exit->pid);
      if (process == nullptr || process->exited) Forget(exit->pid);
    }
  }
}

void Pipeline::OnLost(const LostEvent& lost) {
  switch (lost.what) {
    case LostEvent::What::kSamples:
      accounting_.taken += lost.count;
      accounting_.dropped_queue_full += lost.count;
      return;
    case LostEvent::What::kSideband:
      accounting_.sideband_lost += lost.count;
      ++mapping_losses_;
      return;
    // The kernel half takes them for told, and would refer to them for as long as it records.
    case LostEvent::What::kSymbols:
      accounting_.sideband_lost += lost.count;
      sink_.ForgetSymbols();
      [[fallthrough]];  // stacks refer to symbols
    case LostEvent::What::kStacks:
      sink_.ForgetStacks();
      return;
  }
}

void Pipeline::HandlePending(uint64_t budget_ns) {
  runtimes_.RefreshPending();
  if (unwind_) unwind_->Update(processes_, budget_ns);
  jit_dumps_.Update(world_.now());
}

void Pipeline::Forget(Pid pid) {
  if (unwind_) unwind_->OnGone(pid);
  runtimes_.OnGone(pid);
  if (source_maps_) source_maps_->Forget(pid);
  perf_maps_.Forget(pid);
  jit_dumps_.OnGone(pid);
  resolver_.Forget(pid);
  maps_read_.erase(pid);
  cgroups_.erase(pid);
}

void Pipeline::OnMap(const MapEvent& map) {
  ++mappings_seen_;
  processes_.Apply(map);
  if (unwind_ && (map.file.valid() || map.path == "[vdso]")) unwind_->OnMap(map);
  if (map.file.valid()) images_.Add(map);
  if (world_.open_jit_dump) jit_dumps_.OnMap(map);
  if (options_.use_helpers) runtimes_.OnMap(map);
}

// Numbers only grow, and begin anew after 2^32 of them.
void Pipeline::OnNumber(uint32_t number) {
  if (static_cast<int32_t>(number - last_number_) > 0) last_number_ = number;
}

void Pipeline::ForgetNumbered() {
  if (last_time_ns_ < forget_next_ns_) return;
  switch (forgetting_) {
    case Forgetting::kNo:
      if (stack_bytes_ <= options_.max_stack_bytes &&
          symbol_names_.size() <= options_.max_symbols) {
        return;
      }
      forget_up_to_ = last_number_;
      forgetting_ = Forgetting::kDecided;
      break;
    case Forgetting::kDecided:
      sink_.ForgetSymbols();
      forgetting_ = Forgetting::kSymbolsForgotten;
      break;
    case Forgetting::kSymbolsForgotten:
      sink_.ForgetStacks();
      forgetting_ = Forgetting::kStacksForgotten;
      break;
    case Forgetting::kStacksForgotten: {
      auto old = [this](const auto& entry) {
        return static_cast<int32_t>(entry.first - forget_up_to_) <= 0;
      };
      absl::erase_if(symbol_names_, old);
      absl::erase_if(user_stacks_, old);
      absl::erase_if(kernel_stacks_, old);
      stack_bytes_ = 0;
      for (const auto& [number, stack] : user_stacks_) stack_bytes_ += BytesOf(stack.event);
      for (const auto& [number, addresses] : kernel_stacks_) stack_bytes_ += BytesOf(addresses);
      forgetting_ = Forgetting::kNo;
      break;
    }
  }
  forget_next_ns_ = world_.now() + kForgetStepNs;
}

void Pipeline::OnSymbol(const SymbolEvent& symbol) {
  OnNumber(symbol.number);
  RuntimeInstance* instance = runtimes_.Instance(symbol.pid, symbol.runtime);
  absl::StatusOr<FrameName> described = absl::NotFoundError("no runtime");
  if (instance != nullptr) described = instance->Describe(symbol.record);
  if (!described.ok()) {
    ++symbols_dropped_;
    return;
  }
  runtimes_.Confirm(symbol.pid, symbol.runtime);
  symbol_names_[symbol.number] =
      resolver_.InternRuntimeName(*std::move(described), symbol.pid, symbol.runtime);
}

bool Pipeline::MayReadMaps(Pid pid) const {
  auto known = maps_read_.find(pid);
  return known == maps_read_.end() || last_time_ns_ >= known->second.again_at_ns;
}

Pipeline::MapsRead& Pipeline::MapsReadOf(Pid pid) {
  if (maps_read_.size() >= kMaxProcessesNoted) maps_read_.clear();
  return maps_read_[pid];
}

void Pipeline::OnMapsRead(Pid pid, uint64_t began_ns) {
  const uint64_t took_ns = world_.now() - began_ns;
  MapsReadOf(pid).again_at_ns =
      last_time_ns_ + std::max(kRereadMapsAfterNs, kRereadMapsShare * took_ns);
}

bool Pipeline::IsKnown(const MapEvent& map) const {
  const Process* process = processes_.Find(map.pid);
  const Mapping* known = process == nullptr ? nullptr : process->maps.Find(map.range.begin);
  return known != nullptr && known->range == map.range && known->file == map.file;
}

bool Pipeline::IsInGap(const SampleEvent& sample) {
  if (mapping_losses_ == 0 || !world_.describe) return false;
  if (MapsReadOf(sample.pid).losses != mapping_losses_) MakeUpForLosses(sample.pid);
  const MapsRead& read = MapsReadOf(sample.pid);
  return read.losses != mapping_losses_ || sample.time_ns < read.right_since_ns;
}

void Pipeline::MakeUpForLosses(Pid pid) {
  const Process* process = processes_.Find(pid);
  if (process == nullptr || process->exited || !MayReadMaps(pid)) return;
  const uint64_t began_ns = world_.now();
  absl::StatusOr<std::vector<Event>> events = world_.describe(pid, last_time_ns_);
  if (events.ok()) {
    // If nothing is where it was, an exec may have been lost, or an end and a start.
    const bool is_same = std::any_of(events->begin(), events->end(), [&](const Event& event) {
      auto* map = std::get_if<MapEvent>(&event);
      return map != nullptr && map->file.valid() && IsKnown(*map);
    });
    if (!is_same) Handle(CommEvent{last_time_ns_, pid, pid, /*exec=*/true, process->comm});
    for (Event& event : *events) {
      if (auto* map = std::get_if<MapEvent>(&event); map != nullptr && IsKnown(*map)) continue;
      Handle(std::move(event));
    }
  }
  OnMapsRead(pid, began_ns);
  if (!events.ok()) return;
  MapsRead& read = MapsReadOf(pid);
  read.losses = mapping_losses_;
  read.right_since_ns = began_ns;
}

const Mapping* Pipeline::FindMapping(Pid pid, Address address) {
  const Process* process = processes_.Find(pid);
  if (process == nullptr) return nullptr;
  const Mapping* mapping = process->maps.Find(address);
  if (mapping != nullptr) return mapping;
  // Mapped before we looked, or the event was lost: ask once more.
  if (!MayReadMaps(pid)) return nullptr;
  const uint64_t began_ns = world_.now();
  absl::StatusOr<std::vector<ProcMapping>> maps = world_.read_maps(pid);
  if (maps.ok()) {
    for (const ProcMapping& m : *maps) {
      const MapEvent map = ToMapEvent(pid, last_time_ns_, m);
      if (m.executable && !IsKnown(map)) OnMap(map);
    }
  }
  OnMapsRead(pid, began_ns);
  process = processes_.Find(pid);
  return process == nullptr ? nullptr : process->maps.Find(address);
}

void Pipeline::Resolve(UserStack& stack, bool in_gap) {
  const Pid pid = stack.event.pid;
  std::vector<uint32_t> resolved;
  resolved.reserve(stack.event.frames.size() + 1);
  stack.grounds = {};
  WalkEnd end = stack.event.end;
  const std::vector<RawFrame>& frames = stack.event.frames;
  bool below_async = false;
  std::vector<size_t> of_frame;  // in `resolved`
  for (auto it = frames.begin(); it != frames.end(); ++it) {
    auto name = symbol_names_.find(it->symbol);
    const auto [id, plausible] = resolver_.Resolve(
        *it, name == symbol_names_.end() ? std::nullopt : std::optional(name->second), pid,
        last_time_ns_, stack.grounds);
    // An address that lies in no code is not a return address: what the walk followed there was not
    // a frame pointer, and what it found behind is no stack.
    if (!plausible && it->is_return_address) {
      // Unless a runtime knew where its frames go on.
      auto resumed = std::find_if(it, frames.end(), [](const RawFrame& frame) {
        return frame.kind == RawFrame::Kind::kUnresolved && frame.detail == JP_SKIPPED;
      });
      if (resumed != frames.end()) {
        it = std::prev(resumed);
        continue;
      }
      end = WalkEnd::kNotUserAddress;
      break;
    }
    if (it->is_async && !below_async) {
      resolved.push_back(
          resolver_.NamedFrame({.name = kAsyncSeparator, .kind = FrameKind::kMarker}));
    }
    below_async = it->is_async;
    of_frame.resize(static_cast<size_t>(it - frames.begin()), SIZE_MAX);
    of_frame.push_back(resolved.size());
    resolved.push_back(id);
  }
  if (end != WalkEnd::kRoot && end != WalkEnd::kNoUserStack) {
    resolved.push_back(frames_.InternFrame(
        {.kind = PendingFrame::Kind::kTruncation, .value = static_cast<uint64_t>(end)}));
  }
  if (in_gap)
    resolved.push_back(resolver_.NamedFrame({.name = kInGap, .kind = FrameKind::kMarker}));
  std::vector<uint32_t> nodes(resolved.size());
  uint32_t node = FrameTable::kNoStack;
  for (size_t i = resolved.size(); i-- > 0;) {
    nodes[i] = node = frames_.InternStack(node, resolved[i]);
  }
  stack.nodes.clear();
  for (size_t i = 0; options_.places && i < of_frame.size(); ++i) {
    stack.nodes.push_back(of_frame[i] == SIZE_MAX ? FrameTable::kNoStack : nodes[of_frame[i]]);
  }
  stack.stack = node;
  stack.resolved = true;
  stack.in_gap = in_gap;
  stack.resolved_ns = last_time_ns_;
  stack.mappings_seen = mappings_seen_;
  const Process* process = processes_.Find(pid);  // with what resolving made known of it
  stack.process_life = process == nullptr ? 0 : process->life;
  stack.maps_generation = process == nullptr ? 0 : process->maps.generation();
}

bool Pipeline::MayBeCompleted(const UserStack& stack) const {
  return stack.grounds.incomplete && (stack.mappings_seen != mappings_seen_ ||
                              last_time_ns_ >= stack.resolved_ns + kRereadMapsAfterNs);
}

uint32_t Pipeline::CgroupOf(Pid pid, const Process* process) {
  if (auto known = cgroups_.find(pid); known != cgroups_.end()) return known->second;
  absl::StatusOr<std::string> cgroup = absl::NotFoundError("");
  if (world_.read_cgroup) cgroup = world_.read_cgroup(pid);
  if (!cgroup.ok() && world_.read_cgroup && process != nullptr && process->parent != 0) {
    cgroup = world_.read_cgroup(process->parent);
  }
  if (cgroups_.size() >= kMaxProcessesNoted) cgroups_.clear();
  return cgroups_[pid] = InternComm(cgroup.ok() ? *cgroup : "");
}

void Pipeline::Adopt(Pid pid) {
  if (!world_.describe) return;
  if (!MayReadMaps(pid)) return;
  const uint64_t began_ns = world_.now();
  absl::StatusOr<std::vector<Event>> events = world_.describe(pid, last_time_ns_);
  if (events.ok()) {
    for (Event& event : *events) Handle(std::move(event));
  }
  OnMapsRead(pid, began_ns);
}

void Pipeline::OnSample(const SampleEvent& sample) {
  ++accounting_.taken;
  last_time_ns_ = std::max(last_time_ns_, sample.time_ns);
  ForgetNumbered();
  // Of one that was moved into a recorded group no more may be known than what it has mapped
  // meanwhile.
  if (const Process* known = processes_.Find(sample.pid); known == nullptr || known->comm.empty()) {
    Adopt(sample.pid);
  }
  uint32_t node = FrameTable::kNoStack;
  WalkEnd end = WalkEnd::kNoUserStack;
  if (sample.user_stack != 0) {
    auto it = user_stacks_.find(sample.user_stack);
    if (it == user_stacks_.end()) {
      ++accounting_.dropped_no_stack;
      return;
    }
    UserStack& stack = it->second;
    const bool in_gap = IsInGap(sample);
    const Process* process = processes_.Find(sample.pid);
    bool stale = !stack.resolved || stack.in_gap != in_gap || MayBeCompleted(stack) ||
                 (process != nullptr && (process->life != stack.process_life ||
                                         process->maps.generation() != stack.maps_generation));
    if (!stale && stack.grounds.uses_perf_map) {
      if (PerfMap* map = perf_maps_.Find(sample.pid, last_time_ns_)) {
        stale = map->generation() != stack.grounds.perf_map_generation;
      } else {
        stale = stack.grounds.perf_map_generation != 0 && perf_maps_.GivenUp(sample.pid);
      }
    }
    if (stale) Resolve(stack, in_gap);
    node = stack.stack;
    end = stack.event.end;
  }
  if (sample.kernel_stack != 0) {
    auto it = kernel_stacks_.find(sample.kernel_stack);
    if (it == kernel_stacks_.end()) {
      ++accounting_.dropped_no_stack;
      return;
    }
    const std::vector<uint64_t>& addresses = it->second;
    for (size_t i = addresses.size(); i-- > 0;) {
      node = frames_.InternStack(node,
                                 frames_.InternFrame({.kind = PendingFrame::Kind::kKernel,
                                                      .value = addresses[i] - (i == 0 ? 0 : 1)}));
    }
  }
  ++accounting_.kept;
  ++accounting_.walk_ends[static_cast<size_t>(end)];
  accounting_.truncated_depth += end == WalkEnd::kDepthLimit;
  const Process* process = processes_.Find(sample.pid);
  const std::string unknown = process == nullptr ? absl::StrCat("pid ", sample.pid) : "";
  if (samples_.full()) NameDumped(frames_, samples_.samples());  // while each has its own time
  samples_.Add({.time_ns = sample.time_ns,
                .pid = sample.pid,
                .tid = sample.tid,
                .process_name = InternComm(process == nullptr ? unknown : process->comm),
                .thread_name =
                    InternComm(process == nullptr ? unknown : process->ThreadComm(sample.tid)),
                .cgroup = CgroupOf(sample.pid, process),
                .cpu = sample.cpu,
                .stack = node,
                .period_ns = world_.period_ns ? world_.period_ns(sample.time_ns)
                                              : static_cast<uint32_t>(options_.period_ns)});
}

void Pipeline::NameDumped(FrameTable& frames, std::span<KeptSamples::Sample> samples) {
  if (!jit_dumps_.HasAny()) return;
  std::vector<JitDumps::TimedStack> stacks;
  for (KeptSamples::Sample& sample : samples) {
    if (sample.stack != KeptSamples::kLeftOut) stacks.push_back({sample.time_ns, &sample.stack});
  }
  jit_dumps_.NameStacks(frames, std::move(stacks), world_.now());
}

uint32_t Pipeline::InternComm(absl::string_view comm) {
  if (auto known = comm_ids_.find(comm); known != comm_ids_.end()) return known->second;
  constexpr size_t kBytesOfOne = 2 * sizeof(std::string) + sizeof(uint32_t);
  if (!comms_.empty() && comm_bytes_ >= options_.max_comm_bytes) return 0;
  comm_bytes_ += kBytesOfOne + 2 * comm.size();
  comms_.emplace_back(comm);
  return comm_ids_[comm] = static_cast<uint32_t>(comms_.size() - 1);
}

std::vector<StackId> Pipeline::PlacesOf(uint32_t number) const {
  std::vector<StackId> places;
  auto it = user_stacks_.find(number);
  if (it == user_stacks_.end()) return places;
  for (uint32_t node : it->second.nodes) {
    places.push_back(node == FrameTable::kNoStack ? StackId{} : node_places_[node]);
  }
  return places;
}

std::vector<Pipeline::NativeValues> Pipeline::ValuesOf(uint32_t number) const {
  std::vector<NativeValues> values;
  auto it = user_stacks_.find(number);
  if (it == user_stacks_.end()) return values;
  const UserStack& stack = it->second;
  values.resize(stack.nodes.size());
  for (size_t i = 0; i < stack.nodes.size(); ++i) {
    if (stack.nodes[i] == FrameTable::kNoStack) continue;
    const PendingFrame& frame = frames_.frames()[frames_.stacks()[stack.nodes[i]].frame];
    auto found = values_.find(frame.index);
    if (frame.kind != PendingFrame::Kind::kImage || found == values_.end()) continue;
    const ImageValues& image = found->second;
    const auto offset = std::lower_bound(
        image.offsets.begin(), image.offsets.end(), FileOffset{frame.value});
    const auto at = static_cast<size_t>(offset - image.offsets.begin());
    if (at >= image.values.at.size() || *offset != FileOffset{frame.value}) continue;
    const RawFrame& raw = stack.event.frames[i];
    const uint64_t executes = raw.address - (raw.is_return_address ? 1 : 0);
    values[i] = {&image.values, at, executes - image.addresses[at]};
  }
  return values;
}

absl::StatusOr<Profile> Pipeline::Finish(const RecordingEnd& end) {
  // What the kernel half counted and could not deliver.
  accounting_.taken += end.samples_lost;
  accounting_.dropped_ring_full += end.samples_lost;
  // Samples that were taken and neither arrived nor were counted as lost: a bug, seen here.
  if (end.samples_taken > accounting_.taken) {
    accounting_.dropped_no_stack += end.samples_taken - accounting_.taken;
    accounting_.taken = end.samples_taken;
  }

  return Build(end, /*goes_on=*/false);
}

absl::StatusOr<Profile> Pipeline::TakeSnapshot(const RecordingEnd& end) {
  accounting_.taken += end.samples_lost;
  accounting_.dropped_ring_full += end.samples_lost;
  absl::StatusOr<Profile> profile = Build(end, /*goes_on=*/true);
  accounting_ = {};
  if (frames_.bytes() > forget_interned_at_ || comm_bytes_ > options_.max_comm_bytes / 2) {
    ForgetInterned();
  }
  return profile;
}

void Pipeline::ForgetInterned() {
  FrameTable frames(options_.max_frame_bytes);
  for (auto& [number, name] : symbol_names_) name = frames.InternName(frames_.names()[name]);
  frames_ = std::move(frames);
  // Names that the kernel half refers to stay.
  forget_interned_at_ = std::max(forget_interned_at_, 2 * frames_.bytes());
  resolver_.ForgetInterned();
  for (auto& [number, stack] : user_stacks_) stack.resolved = false;
  comms_.clear();
  comm_ids_.clear();
  comm_bytes_ = 0;
  cgroups_.clear();
  InternComm(kLeftOutComm);
}

BuiltinCodes Pipeline::FindBuiltins() const {
  BuiltinCodes builtins;
  for (uint32_t i = 0; i < frames_.frames().size(); ++i) {
    const PendingFrame& frame = frames_.frames()[i];
    if (frame.kind != PendingFrame::Kind::kBuiltin) continue;
    const FileIdentity& file = images_.images()[frame.index].identity;
    builtins[i] = {runtimes_.RuntimeByNumber(frame.runtime),
                   std::string(runtimes_.SymbolOf(file, {frame.value})),
                   runtimes_.IsPlumbing(file, {frame.value})};
  }
  return builtins;
}

absl::StatusOr<Profile> Pipeline::Build(const RecordingEnd& end, bool goes_on) {
  NameDumped(frames_, samples_.samples());
  std::vector<KeptSamples::Sample> samples = samples_.TakeAll();
  for (KeptSamples::Sample& sample : samples) {
    if (sample.stack == KeptSamples::kLeftOut) sample.stack = frames_.LeftOutStack();
  }
  std::vector<uint32_t> used;
  for (const KeptSamples::Sample& sample : samples) used.push_back(sample.stack);
  std::optional<OriginalNames> originals;
  if (source_maps_) {
    originals.emplace(frames_, *source_maps_, world_.read_source_maps,
                      goes_on ? &known_originals_ : nullptr);
    if (goes_on) source_maps_->CloseUnused();
  }
  const bool has_cache = goes_on || (drafted_ && !options_.inlines && !options_.lines);
  const BuiltinCodes builtins = FindBuiltins();
  absl::StatusOr<NamedProfile> named = BuildProfile(
      {frames_, images_.pinned(), comms_, builtins, std::move(samples), accounting_}, end,
      options_.period_ns, kernel_names_,
      {.threads = options_.symbol_threads,
       .inlines = options_.inlines,
       .lines = options_.lines,
       .symbolize = world_.symbolize,
       .files = world_.image_files,
       .cache = has_cache ? &symbol_cache_ : nullptr,
       .goes_on = goes_on,
       .stacks = goes_on ? &used : nullptr,
       .now_ns = world_.now() + (goes_on ? 0 : kReloadKernelAfterNs),
       .values = options_.values ? &values_ : nullptr,
       .originals = originals ? &*originals : nullptr},
      options_.places);
  if (!named.ok()) return named.status();
  accounting_ = named->profile.accounting;
  node_places_ = std::move(named->places);
  if (!named->troubles.empty()) name_troubles_ = std::move(named->troubles);
  symbol_troubles_ = name_troubles_;
  if (source_maps_) {
    if (!originals->troubles().empty()) map_troubles_ = originals->troubles();
    for (const std::vector<std::string>& of : {source_maps_->Troubles(), map_troubles_}) {
      symbol_troubles_.insert(symbol_troubles_.end(), of.begin(), of.end());
    }
  }
  return std::move(named->profile);
}

ProfileDraft Pipeline::Draft(const RecordingEnd& end) {
  drafted_ = true;
  ProfileDraft draft(kernel_names_);
  draft.frames_ = frames_;
  draft.images_ = images_.pinned();
  draft.comms_ = comms_;
  draft.builtins_ = FindBuiltins();
  draft.samples_ = samples_.All();
  NameDumped(draft.frames_, draft.samples_);
  for (KeptSamples::Sample& sample : draft.samples_) {
    if (sample.stack == KeptSamples::kLeftOut) sample.stack = draft.frames_.LeftOutStack();
  }
  draft.accounting_ = accounting_;
  draft.accounting_.taken += end.samples_lost;
  draft.accounting_.dropped_ring_full += end.samples_lost;
  draft.end_ = end;
  draft.period_ns_ = options_.period_ns;
  draft.namer_ = {.threads = options_.symbol_threads,
                  .symbolize = world_.symbolize,
                  .files = world_.image_files,
                  .cache = &symbol_cache_,
                  .goes_on = true,
                  .now_ns = world_.now()};
  return draft;
}

}  // namespace jprof
