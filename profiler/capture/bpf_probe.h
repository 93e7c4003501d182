// The user half of the probes (probe.h): what of the BPF object is loaded for one, where it is
// attached, what it found.
//
// All of it hangs on descriptors of this process: when jprof ends, however it does, nothing is
// left.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "profiler/capture/probe.h"
#include "profiler/core/ids.h"
#include "profiler/core/unique_fd.h"

struct bpf_link;
struct bpf_object;
struct ring_buffer;

namespace jprof {

// A place in a file, for JP_PROBE_AT_ENTRY and JP_PROBE_AT_RETURN.
struct ProbePlace {
  std::string path;     // that can be opened by this process
  uint64_t offset = 0;  // in the file
  uint32_t kind = 0;    // below JP_PROBE_KINDS
  std::string function;  // its name, for people
};

struct Probe {
  jp_probe_config config = {};
  std::vector<ProbePlace> places;
  std::vector<UniqueFd> cgroups;  // folders of the groups of terms
  Pid pid = 0;  // that it is about; 0: any. Not among the terms.
};

class BpfProbe {
 public:
  // Before the object is loaded: with a probe its programs and not the sampling one; without
  // (nullptr) none of it.
  static absl::Status Prepare(bpf_object* object, const Probe* probe);
  // Of a loaded object, which outlives the result.
  static absl::StatusOr<std::unique_ptr<BpfProbe>> Open(bpf_object* object, const Probe& probe);
  ~BpfProbe();

  // From now on, for all processes; breakpoints (of `places`) are put into the probe's process
  // alone, if it is about one. NotFound, PermissionDenied, FailedPrecondition: a place of the probe
  // is none.
  absl::Status Attach();
  void Detach();

  // Hands out the hits that are there now.
  absl::Status Drain(absl::FunctionRef<void(const jp_probe_hit&)> sink);
  // Shared with the kernel, also by children that are forked.
  jp_probe_state& state() { return *state_; }
  // Runs that the kernel left out since another one of the same program was preempted on that CPU.
  uint64_t misses() const;

 private:
  struct LinkDeleter {
    void operator()(bpf_link* link) const;
  };
  struct RingDeleter {
    void operator()(ring_buffer* ring) const;
  };
  BpfProbe(bpf_object* object, const Probe& probe)
      : object_(object), points_(probe.config.points), places_(probe.places), pid_(probe.pid) {}
  absl::Status TellKernel(const Probe& probe);

  bpf_object* object_;
  const uint32_t points_;
  const std::vector<ProbePlace> places_;
  const Pid pid_;
  jp_probe_state* state_ = nullptr;
  std::unique_ptr<ring_buffer, RingDeleter> ring_;
  absl::FunctionRef<void(const jp_probe_hit&)>* sink_ = nullptr;  // while draining
  std::vector<std::unique_ptr<bpf_link, LinkDeleter>> links_;
};

}  // namespace jprof
