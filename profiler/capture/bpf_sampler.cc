#include "profiler/capture/bpf_sampler.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/capability.h>
#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "helpers/native_runner.h"
#include "profiler/core/status.h"
#include "profiler/process/process_access.h"

namespace jprof {
namespace {

constexpr uint64_t kInitialPidNamespace = 0xEFFFFFFC;  // PROC_PID_INIT_INO
constexpr size_t kVerifierLogBytes = 1 << 16;
constexpr uint32_t kForeignProcesses = 1 << 15;

// The verifier's reason is the last line of its log that is not its statistics.
std::string LastWords(absl::string_view log) {
  std::string last;
  for (absl::string_view line : absl::StrSplit(log, '\n', absl::SkipEmpty())) {
    if (line.substr(0, 9) == "processed" || line[0] == '-') break;
    last = std::string(line);
  }
  return last;
}

jp_file_key KeyOf(const FileIdentity& file) {
  return {file.inode, file.device_major, file.device_minor};
}

int Silent(libbpf_print_level, const char*, va_list) { return 0; }

template <typename T>
bool ReadStruct(std::span<const uint8_t> bytes, T& out) {
  if (bytes.size() < sizeof(out)) return false;
  std::memcpy(&out, bytes.data(), sizeof(out));
  return true;
}

absl::StatusOr<Event> ParseStack(std::span<const uint8_t> bytes) {
  jp_stack head;
  if (!ReadStruct(bytes, head) || head.depth > JP_MAX_FRAMES || head.end >= kWalkEndCount ||
      bytes.size() < sizeof(head) + head.depth * sizeof(jp_frame)) {
    return absl::DataLossError("stack record cut");
  }
  StackEvent event{head.number, static_cast<Pid>(head.tgid), static_cast<WalkEnd>(head.end), {}};
  event.frames.reserve(head.depth);
  for (uint32_t i = 0; i < head.depth; ++i) {
    jp_frame frame;
    std::memcpy(&frame, bytes.data() + sizeof(head) + i * sizeof(frame), sizeof(frame));
    event.frames.push_back(ToRawFrame(frame));
  }
  return event;
}

absl::StatusOr<Event> ParseKernelStack(std::span<const uint8_t> bytes) {
  jp_kernel_stack head;
  if (!ReadStruct(bytes, head) || head.depth > JP_MAX_KERNEL_FRAMES ||
      bytes.size() < sizeof(head) + head.depth * sizeof(uint64_t)) {
    return absl::DataLossError("kernel stack record cut");
  }
  KernelStackEvent event{head.number, std::vector<uint64_t>(head.depth)};
  std::memcpy(event.addresses.data(), bytes.data() + sizeof(head), head.depth * sizeof(uint64_t));
  return event;
}

absl::Status LoadForbidden() {
  if (HaveCapability(CAP_SYS_ADMIN) || (HaveCapability(CAP_BPF) && HaveCapability(CAP_PERFMON))) {
    return WithHint(
        absl::PermissionDeniedError("loading BPF: permission denied although jprof has the "
                                    "capabilities: a user namespace, a container's seccomp "
                                    "profile, lockdown or a security module forbids it"),
        "run outside of the container, or allow bpf in its seccomp profile");
  }
  return WithHint(absl::PermissionDeniedError("loading BPF: permission denied"),
                  "run as root, or give jprof CAP_BPF and CAP_PERFMON");
}

}  // namespace

absl::StatusOr<Event> ParseBpfRecord(std::span<const uint8_t> bytes) {
  uint16_t type = 0;
  if (!ReadStruct(bytes, type)) return absl::DataLossError("empty record");
  switch (type) {
    case JP_RECORD_SAMPLE: {
      jp_sample s;
      if (!ReadStruct(bytes, s)) break;
      return SampleEvent{.time_ns = s.time_ns,
                         .pid = static_cast<Pid>(s.tgid),
                         .tid = static_cast<Tid>(s.tid),
                         .cpu = s.cpu,
                         .user_stack = s.user_stack,
                         .kernel_stack = s.kernel_stack};
    }
    case JP_RECORD_STACK:
      return ParseStack(bytes);
    case JP_RECORD_KERNEL_STACK:
      return ParseKernelStack(bytes);
    case JP_RECORD_SYMBOL: {
      jp_symbol s;
      if (!ReadStruct(bytes, s) || bytes.size() < sizeof(s) + s.text_bytes) break;
      return SymbolEvent{s.number, static_cast<Pid>(s.tgid), s.runtime,
                         std::vector<uint8_t>(bytes.begin(), bytes.end())};
    }
    default:
      break;
  }
  return absl::DataLossError(
      absl::StrCat("record of type ", type, " and ", bytes.size(), " bytes"));
}

void BpfSampler::ObjectDeleter::operator()(bpf_object* object) const { bpf_object__close(object); }
void BpfSampler::RingDeleter::operator()(ring_buffer* ring) const { ring_buffer__free(ring); }

absl::StatusOr<std::unique_ptr<BpfSampler>> BpfSampler::Load(absl::string_view object,
                                                             const Options& options) {
  libbpf_set_print(Silent);
  auto sampler = std::unique_ptr<BpfSampler>(new BpfSampler);
  bpf_object_open_opts open_options = {};
  open_options.sz = sizeof(open_options);
  open_options.object_name = "jprof";
  sampler->object_.reset(bpf_object__open_mem(object.data(), object.size(), &open_options));
  bpf_object* o = sampler->object_.get();
  if (o == nullptr) return ErrnoStatus(errno, "BPF object");

  jp_config config = {.only_tgid = static_cast<uint32_t>(options.only_pid),
                      .only_tid = static_cast<uint32_t>(options.only_tid),
                      .skip_foreign = options.skip_foreign,
                      .only_cgroup = options.cgroup_fd >= 0,
                      .only_comm = !options.comm.empty()};
  // As the kernel cuts them.
  std::memcpy(config.comm, options.comm.data(),
              std::min(options.comm.size(), sizeof(config.comm) - 1));
  struct stat ns;
  if (::stat("/proc/self/ns/pid", &ns) == 0 && ns.st_ino != kInitialPidNamespace) {
    config.namespace_device = ns.st_dev;
    config.namespace_inode = ns.st_ino;
  }
  bpf_map* config_map = bpf_object__find_map_by_name(o, ".rodata.jp_config");
  bpf_map* ring_map = bpf_object__find_map_by_name(o, "jp_ring");
  bpf_map* mappings_map = bpf_object__find_map_by_name(o, "jp_mappings");
  bpf_program* program = bpf_object__find_program_by_name(o, "jp_on_sample");
  bpf_map* symbols_map = bpf_object__find_map_by_name(o, "jp_known_symbols");
  bpf_map* stacks_map = bpf_object__find_map_by_name(o, "jp_known_stacks");
  bpf_map* changes_map = bpf_object__find_map_by_name(o, ".data.jp_changes");
  bpf_map* foreign_map = bpf_object__find_map_by_name(o, "jp_foreign");
  if (config_map == nullptr || foreign_map == nullptr ||
      (options.skip_foreign && bpf_map__set_max_entries(foreign_map, kForeignProcesses) != 0) ||
      ring_map == nullptr || mappings_map == nullptr ||
      program == nullptr || bpf_map__set_max_entries(mappings_map, options.mappings) != 0 ||
      symbols_map == nullptr || stacks_map == nullptr || changes_map == nullptr ||
      bpf_map__set_initial_value(config_map, &config, sizeof(config)) != 0 ||
      bpf_map__set_max_entries(ring_map, options.ring_bytes) != 0) {
    return absl::InternalError("the BPF object is not the one that jprof was built with");
  }
  JPROF_RETURN_IF_ERROR(BpfProbe::Prepare(o, options.probe));
  std::string log(kVerifierLogBytes, '\0');
  bpf_program__set_log_buf(program, log.data(), log.size());
  if (int err = -bpf_object__load(o); err != 0) {
    if (err == EPERM || err == EACCES) {
      std::string words = LastWords(log.c_str());
      if (words.empty()) return LoadForbidden();
      return absl::FailedPreconditionError(absl::StrCat("the kernel rejects the sampler: ", words));
    }
    constexpr char kBtf[] = "/sys/kernel/btf/vmlinux";
    if (err == ESRCH && ::access(kBtf, F_OK) != 0) {
      return WithHint(absl::FailedPreconditionError(absl::StrCat(
                          "loading BPF: the kernel does not tell its types, there is no ", kBtf)),
                      "it takes a kernel with CONFIG_DEBUG_INFO_BTF, and /sys mounted");
    }
    const std::string words = LastWords(log.c_str());
    return ErrnoStatus(err, words.empty() ? "loading BPF" : absl::StrCat("loading BPF: ", words));
  }
  sampler->program_fd_ = bpf_program__fd(program);
  sampler->processes_fd_ = bpf_object__find_map_fd_by_name(o, "jp_processes");
  sampler->foreign_fd_ = bpf_map__fd(foreign_map);
  sampler->layouts_fd_ = bpf_object__find_map_fd_by_name(o, "jp_layouts");
  sampler->chunks_fd_ = bpf_object__find_map_fd_by_name(o, "jp_chunks");
  sampler->slices_fd_ = bpf_object__find_map_fd_by_name(o, "jp_mapping_slices");
  sampler->files_fd_ = bpf_object__find_map_fd_by_name(o, "jp_files");
  sampler->mappings_ = MapMemory(mappings_map);
  sampler->changes_ = MapMemory(changes_map);
  sampler->symbols_ = MapMemory(symbols_map);
  sampler->stacks_ = MapMemory(stacks_map);
  for (const MapMemory* memory :
       {&sampler->mappings_, &sampler->changes_, &sampler->symbols_, &sampler->stacks_}) {
    if (memory->data() == nullptr) return ErrnoStatus(errno, "mapping the memory of a BPF map");
  }
  sampler->counters_fd_ = bpf_object__find_map_fd_by_name(o, "jp_counter_values");

  sampler->sink_ = std::make_unique<absl::FunctionRef<void(Event)>*>(nullptr);
  auto on_record = [](void* context, void* data, size_t size) -> int {
    auto* sink = *static_cast<absl::FunctionRef<void(Event)>**>(context);
    auto event = ParseBpfRecord({static_cast<const uint8_t*>(data), size});
    if (!event.ok()) return -EBADMSG;
    (*sink)(*std::move(event));
    return 0;
  };
  sampler->ring_.reset(
      ring_buffer__new(bpf_map__fd(ring_map), on_record, sampler->sink_.get(), nullptr));
  if (sampler->ring_ == nullptr) return ErrnoStatus(errno, "BPF ring");
  sampler->wishes_.reset(ring_buffer__new(
      bpf_object__find_map_fd_by_name(o, "jp_wishes"), [](void*, void*, size_t) { return 0; },
      nullptr, nullptr));
  if (sampler->wishes_ == nullptr) return ErrnoStatus(errno, "BPF ring");
  if (options.probe != nullptr) {
    JPROF_ASSIGN_OR_RETURN(sampler->probe_, BpfProbe::Open(o, *options.probe));
  }
  if (options.cgroup_fd >= 0) {
    const uint32_t zero = 0;
    if (bpf_map_update_elem(bpf_object__find_map_fd_by_name(o, "jp_cgroup"), &zero,
                            &options.cgroup_fd, BPF_ANY) != 0) {
      return ErrnoStatus(errno, "naming the cgroup to the kernel");
    }
  }
  return sampler;
}

BpfSampler::~BpfSampler() = default;

absl::Status BpfSampler::Attach(int event_fd) {
  if (::ioctl(event_fd, PERF_EVENT_IOC_SET_BPF, program_fd_) != 0) {
    return ErrnoStatus(errno, "attaching the sampler to the event");
  }
  return absl::OkStatus();
}

absl::Status BpfSampler::Drain(absl::FunctionRef<void(Event)> sink) {
  *sink_ = &sink;
  int result = ring_buffer__consume(ring_.get());
  *sink_ = nullptr;
  if (result < 0) return ErrnoStatus(-result, "BPF ring");
  return absl::OkStatus();
}

int BpfSampler::wish_fd() const { return ring_buffer__epoll_fd(wishes_.get()); }
void BpfSampler::HaveWish() { ring_buffer__consume(wishes_.get()); }

void BpfSampler::SetForeign(Pid pid, bool foreign) {
  uint32_t key = static_cast<uint32_t>(pid);
  const uint8_t value = 1;
  if (foreign) {
    bpf_map_update_elem(foreign_fd_, &key, &value, BPF_ANY);
  } else {
    bpf_map_delete_elem(foreign_fd_, &key);
  }
}

absl::StatusOr<jp_counters> BpfSampler::ReadCounters() const {
  int cpus = libbpf_num_possible_cpus();
  if (cpus < 1) return ErrnoStatus(-cpus, "possible CPUs");
  std::vector<jp_counters> values(static_cast<size_t>(cpus));
  uint32_t zero = 0;
  if (bpf_map_lookup_elem(counters_fd_, &zero, values.data()) != 0) {
    return ErrnoStatus(errno, "BPF counters");
  }
  jp_counters sum = {};
  for (const jp_counters& c : values) {
    sum.samples += c.samples;
    sum.samples_lost += c.samples_lost;
    sum.symbols += c.symbols;
    sum.symbols_lost += c.symbols_lost;
    sum.helper_unreadable += c.helper_unreadable;
    sum.helper_corrupt += c.helper_corrupt;
    sum.no_rule += c.no_rule;
  }
  return sum;
}

int BpfSampler::program_fd() const { return program_fd_; }

uint64_t BpfSampler::RunTimeNs() const {
  bpf_prog_info info = {};
  uint32_t size = sizeof(info);
  return bpf_obj_get_info_by_fd(program_fd_, &info, &size) == 0 ? info.run_time_ns : 0;
}

bool BpfSampler::SetLayout(uint32_t index, std::span<const std::byte> layout) {
  std::byte value[JP_LAYOUT_BYTES] = {};
  std::memcpy(value, layout.data(), std::min(layout.size(), sizeof(value)));
  return bpf_map_update_elem(layouts_fd_, &index, value, BPF_ANY) == 0;
}

void BpfSampler::TellChange() {
  std::atomic_ref(*reinterpret_cast<uint32_t*>(changes_.data())).fetch_add(1);
}

bool BpfSampler::SetProcess(Pid pid, const jp_process& process) {
  uint32_t key = static_cast<uint32_t>(pid);
  const bool done = bpf_map_update_elem(processes_fd_, &key, &process, BPF_ANY) == 0;
  TellChange();
  return done;
}

void BpfSampler::ForgetSymbols() { std::memset(symbols_.data(), 0, symbols_.size()); }
void BpfSampler::ForgetStacks() { std::memset(stacks_.data(), 0, stacks_.size()); }

BpfSampler::MapMemory::MapMemory(const bpf_map* map)
    : MapMemory(bpf_map__fd(map), size_t{bpf_map__value_size(map)} * bpf_map__max_entries(map)) {}

BpfSampler::MapMemory::MapMemory(int map_fd, size_t bytes) {
  void* data = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, map_fd, 0);
  if (data == MAP_FAILED) return;
  data_ = static_cast<std::byte*>(data);
  size_ = bytes;
}

BpfSampler::MapMemory::MapMemory(MapMemory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(other.size_) {}

BpfSampler::MapMemory& BpfSampler::MapMemory::operator=(MapMemory&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

BpfSampler::MapMemory::~MapMemory() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

BpfSampler::MapMemory* BpfSampler::Chunk(uint32_t number) {
  if (number >= JP_MAX_CHUNKS) return nullptr;
  if (number >= chunks_.size()) chunks_.resize(number + 1);
  MapMemory& chunk = chunks_[number];
  if (chunk.data() == nullptr) {
    bpf_map_create_opts options = {};
    options.sz = sizeof(options);
    options.map_flags = BPF_F_MMAPABLE;
    UniqueFd map(bpf_map_create(BPF_MAP_TYPE_ARRAY, "jp_chunk", sizeof(uint32_t), sizeof(uint64_t),
                                JP_CHUNK_WORDS, &options));
    if (!map.valid()) return nullptr;
    MapMemory memory(map.get(), JP_CHUNK_WORDS * sizeof(uint64_t));
    const int fd = map.get();
    if (memory.data() == nullptr ||
        bpf_map_update_elem(chunks_fd_, &number, &fd, BPF_ANY) != 0) {
      return nullptr;
    }
    chunk = std::move(memory);
  }
  return &chunk;
}

bool BpfSampler::WriteWords(uint32_t first, std::span<const uint64_t> words) {
  while (!words.empty()) {
    MapMemory* chunk = Chunk(first >> JP_CHUNK_SHIFT);
    if (chunk == nullptr) return false;
    const uint32_t at = first & (JP_CHUNK_WORDS - 1);
    const size_t count = std::min<size_t>(words.size(), JP_CHUNK_WORDS - at);
    std::memcpy(chunk->data() + at * sizeof(uint64_t), words.data(), count * sizeof(uint64_t));
    words = words.subspan(count);
    first += static_cast<uint32_t>(count);
  }
  return true;
}

bool BpfSampler::WriteMappings(uint32_t first, std::span<const jp_mapping> mappings) {
  const size_t at = size_t{first} * sizeof(jp_mapping);
  if (at > mappings_.size() || mappings.size_bytes() > mappings_.size() - at) return false;
  std::memcpy(mappings_.data() + at, mappings.data(), mappings.size_bytes());
  return true;
}

bool BpfSampler::SetMappings(Pid pid, jp_mapping_slice slice) {
  uint32_t key = static_cast<uint32_t>(pid);
  const bool done = bpf_map_update_elem(slices_fd_, &key, &slice, BPF_ANY) == 0;
  TellChange();
  return done;
}

void BpfSampler::RemoveMappings(Pid pid) {
  uint32_t key = static_cast<uint32_t>(pid);
  bpf_map_delete_elem(slices_fd_, &key);
  TellChange();
}

void BpfSampler::SetFile(const FileIdentity& file, const jp_file_table& table) {
  const jp_file_key key = KeyOf(file);
  bpf_map_update_elem(files_fd_, &key, &table, BPF_ANY);
  TellChange();
}

void BpfSampler::RemoveFile(const FileIdentity& file) {
  const jp_file_key key = KeyOf(file);
  bpf_map_delete_elem(files_fd_, &key);
}

void BpfSampler::RemoveProcess(Pid pid) {
  uint32_t key = static_cast<uint32_t>(pid);
  bpf_map_delete_elem(processes_fd_, &key);
  TellChange();
}

}  // namespace jprof
