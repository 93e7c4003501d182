#include "profiler/capture/bpf_probe.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "profiler/core/status.h"
#include "profiler/process/process_access.h"

namespace jprof {
namespace {

struct Point {
  uint32_t bit;
  const char* program;
};
constexpr Point kPoints[] = {{JP_PROBE_AT_ENTER, "jp_probe_enter"},
                             {JP_PROBE_AT_EXIT, "jp_probe_exit"},
                             {JP_PROBE_AT_SIGNAL, "jp_probe_signal"},
                             {JP_PROBE_AT_ENTRY, "jp_probe_entry"},
                             {JP_PROBE_AT_RETURN, "jp_probe_return"}};
constexpr const char* kMaps[] = {"jp_hits",          "jp_probe_threads", "jp_probe_begun",
                                 "jp_probe_cgroups", "jp_probe_busy",    ".rodata.jp_probe",
                                 ".data.jp_probe"};

// The coarse clock is the one of the ticks. If it should not say, the longest that Linux can be
// built with.
uint64_t TickNs() {
  timespec tick = {};
  if (::clock_getres(CLOCK_MONOTONIC_COARSE, &tick) != 0 || tick.tv_nsec == 0) return 10'000'000;
  return static_cast<uint64_t>(tick.tv_nsec);
}

bool IsOfFile(uint32_t bit) { return bit == JP_PROBE_AT_ENTRY || bit == JP_PROBE_AT_RETURN; }

absl::Status CannotAttach(int err, absl::string_view what, bool is_of_file) {
  const absl::Status status = ErrnoStatus(err, absl::StrCat("cannot attach to ", what));
  if (!absl::IsPermissionDenied(status)) return status;
  for (const auto& [capability, name] : {std::pair{CAP_SYS_ADMIN, "CAP_SYS_ADMIN"},
                                         {CAP_PERFMON, "CAP_PERFMON"},
                                         {CAP_BPF, "CAP_BPF"}}) {
    if (HaveCapability(capability) || (capability == CAP_SYS_ADMIN && !is_of_file)) continue;
    return WithHint(absl::PermissionDeniedError(absl::StrCat(
                        status.message(), "; it takes ", name, ", which jprof lacks")),
                    "run as root, or sudo setcap cap_sys_admin,cap_bpf,cap_perfmon+ep "
                    "\"$(command -v jprof)\"");
  }
  return WithHint(absl::PermissionDeniedError(absl::StrCat(
                      status.message(), ", although jprof has the capabilities: a user namespace, "
                                        "lockdown or a security module forbids it")),
                  "run outside of the container, or allow it there");
}

}  // namespace

void BpfProbe::LinkDeleter::operator()(bpf_link* link) const { bpf_link__destroy(link); }
void BpfProbe::RingDeleter::operator()(ring_buffer* ring) const { ring_buffer__free(ring); }

absl::Status BpfProbe::Prepare(bpf_object* object, const Probe* probe) {
  const absl::Status wrong =
      absl::InternalError("the BPF object is not the one that jprof was built with");
  for (const char* name : kMaps) {
    bpf_map* map = bpf_object__find_map_by_name(object, name);
    if (map == nullptr) return wrong;
    if (probe == nullptr) bpf_map__set_autocreate(map, false);
  }
  if (probe == nullptr) return absl::OkStatus();
  jp_probe_config values = probe->config;
  values.tick_ns = TickNs();
  bpf_program* sampling = bpf_object__find_program_by_name(object, "jp_on_sample");
  bpf_map* config = bpf_object__find_map_by_name(object, ".rodata.jp_probe");
  if (sampling == nullptr || bpf_program__set_autoload(sampling, false) != 0 ||
      bpf_map__set_initial_value(config, &values, sizeof(values)) != 0) {
    return wrong;
  }
  for (const Point& point : kPoints) {
    bpf_program* program = bpf_object__find_program_by_name(object, point.program);
    if (program == nullptr ||
        bpf_program__set_autoload(program, (probe->config.points & point.bit) != 0) != 0) {
      return wrong;
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<BpfProbe>> BpfProbe::Open(bpf_object* object, const Probe& probe) {
  auto result = std::unique_ptr<BpfProbe>(new BpfProbe(object, probe));
  void* state = ::mmap(nullptr, sizeof(jp_probe_state), PROT_READ | PROT_WRITE, MAP_SHARED,
                       bpf_object__find_map_fd_by_name(object, ".data.jp_probe"), 0);
  if (state == MAP_FAILED) return ErrnoStatus(errno, "mapping the memory of a BPF map");
  result->state_ = static_cast<jp_probe_state*>(state);
  auto on_record = [](void* context, void* data, size_t size) -> int {
    jp_probe_hit hit;
    if (size < sizeof(hit)) return -EBADMSG;
    std::memcpy(&hit, data, sizeof(hit));
    (*static_cast<BpfProbe*>(context)->sink_)(hit);
    return 0;
  };
  result->ring_.reset(ring_buffer__new(bpf_object__find_map_fd_by_name(object, "jp_hits"),
                                       on_record, result.get(), nullptr));
  if (result->ring_ == nullptr) return ErrnoStatus(errno, "BPF ring");
  JPROF_RETURN_IF_ERROR(result->TellKernel(probe));
  return result;
}

// The groups, and which process is jprof.
absl::Status BpfProbe::TellKernel(const Probe& probe) {
  const int groups = bpf_object__find_map_fd_by_name(object_, "jp_probe_cgroups");
  for (uint32_t i = 0; i < probe.cgroups.size(); ++i) {
    const int directory = probe.cgroups[i].get();
    if (bpf_map_update_elem(groups, &i, &directory, BPF_ANY) != 0) {
      return ErrnoStatus(errno, "naming the cgroup to the kernel");
    }
  }
  const UniqueFd self(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
  const int key = self.get();
  const jp_probe_thread thread = {.is_jprof = 1};
  if (!self.valid() ||
      bpf_map_update_elem(bpf_object__find_map_fd_by_name(object_, "jp_probe_threads"), &key,
                          &thread, BPF_ANY) != 0) {
    return ErrnoStatus(errno, "naming jprof to the kernel");
  }
  return absl::OkStatus();
}

BpfProbe::~BpfProbe() {
  Detach();
  if (state_ != nullptr) ::munmap(state_, sizeof(*state_));
}

absl::Status BpfProbe::Attach() {
  auto keep = [this](bpf_link* link, absl::string_view what, bool is_of_file) -> absl::Status {
    if (link == nullptr) return CannotAttach(errno, what, is_of_file);
    links_.emplace_back(link);
    return absl::OkStatus();
  };
  for (const Point& point : kPoints) {
    if ((points_ & point.bit) == 0) continue;
    bpf_program* program = bpf_object__find_program_by_name(object_, point.program);
    if (!IsOfFile(point.bit)) {
      JPROF_RETURN_IF_ERROR(keep(bpf_program__attach_trace(program),
                                 point.bit == JP_PROBE_AT_SIGNAL ? "signals" : "system calls",
                                 /*is_of_file=*/false));
      continue;
    }
    for (const ProbePlace& place : places_) {
      bpf_uprobe_opts options = {};
      options.sz = sizeof(options);
      options.bpf_cookie = place.kind;
      options.retprobe = point.bit == JP_PROBE_AT_RETURN;
      JPROF_RETURN_IF_ERROR(
          keep(bpf_program__attach_uprobe_opts(program, pid_ == 0 ? -1 : pid_, place.path.c_str(),
                                               place.offset, &options),
               absl::StrFormat("%s+0x%x", place.path, place.offset), /*is_of_file=*/true));
    }
  }
  return absl::OkStatus();
}

void BpfProbe::Detach() { links_.clear(); }

absl::Status BpfProbe::Drain(absl::FunctionRef<void(const jp_probe_hit&)> sink) {
  sink_ = &sink;
  const int result = ring_buffer__consume(ring_.get());
  sink_ = nullptr;
  return result < 0 ? ErrnoStatus(-result, "BPF ring") : absl::OkStatus();
}

uint64_t BpfProbe::misses() const {
  uint64_t misses = 0;
  for (const Point& point : kPoints) {
    if ((points_ & point.bit) == 0) continue;
    bpf_prog_info info = {};
    uint32_t size = sizeof(info);
    const int fd =
        bpf_program__fd(bpf_object__find_program_by_name(object_, point.program));
    if (bpf_obj_get_info_by_fd(fd, &info, &size) == 0) misses += info.recursion_misses;
  }
  return misses;
}

}  // namespace jprof
