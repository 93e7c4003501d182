// The user half of the BPF sampler: loads sampler.bpf.c's object, attaches it to sampling events,
// drains its ring into events, and keeps its maps of processes, layouts and call-frame tables.
//
// Everything in the kernel hangs on file descriptors that this object owns: when jprof dies, the
// programs, maps and events go with it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "helpers/abi/records.h"
#include "profiler/capture/bpf_probe.h"
#include "profiler/capture/sampler.h"
#include "profiler/core/event.h"
#include "profiler/core/unique_fd.h"

struct bpf_map;
struct bpf_object;
struct ring_buffer;

namespace jprof {

class BpfSampler : public Sampler {
 public:
  struct Options {
    Pid only_pid = 0;               // 0: every process
    Tid only_tid = 0;               // 0: every thread
    bool skip_foreign = false;      // leave out what SetForeign() names
    int cgroup_fd = -1;             // >= 0: only what is in this group of cgroup v2, or below it
    std::string comm;               // not "": only threads and processes of this name
    uint32_t ring_bytes = 4 << 20;  // a power of two, at least a page
    uint32_t mappings = 1 << 14;    // that UnwindTables may hand over
    const Probe* probe = nullptr;   // samples are taken at its hits, and not on events
  };

  // Loads the object into the kernel. PermissionDenied: BPF is not allowed, with a hint;
  // FailedPrecondition: the kernel lacks something, the message holds the verifier's last words.
  static absl::StatusOr<std::unique_ptr<BpfSampler>> Load(absl::string_view object,
                                                          const Options& options);
  ~BpfSampler() override;

  // Attaches the program to a sampling event, which stays disabled until the caller enables it.
  absl::Status Attach(int event_fd);

  // nullptr: Options had none.
  BpfProbe* probe() { return probe_.get(); }

  // Becomes readable when the kernel half met a file that nobody told of by SetFile(): a Drain() of
  // the side-band is due soon. HaveWish() makes it wait for the next time.
  int wish_fd() const;
  void HaveWish();

  // Sampler.
  absl::Status Drain(absl::FunctionRef<void(Event)> sink) override;
  void SetForeign(Pid pid, bool foreign) override;  // one that was not met for long is forgotten
  absl::StatusOr<jp_counters> ReadCounters() const override;  // sums over all CPUs

  // Descriptor of the loaded program: for benchmarks that ask the kernel for its run time.
  int program_fd() const;
  // CPU time of the program; 0 where the kernel does not count it (kernel.bpf_stats_enabled).
  uint64_t RunTimeNs() const;

  // LayoutSink. Thread-safe.
  bool SetLayout(uint32_t index, std::span<const std::byte> layout) override;
  bool SetProcess(Pid pid, const jp_process& process) override;
  void RemoveProcess(Pid pid) override;
  void ForgetSymbols() override;
  void ForgetStacks() override;

  // UnwindSink.
  bool WriteWords(uint32_t first, std::span<const uint64_t> words) override;
  bool WriteMappings(uint32_t first, std::span<const jp_mapping> mappings) override;
  bool SetMappings(Pid pid, jp_mapping_slice slice) override;
  void RemoveMappings(Pid pid) override;
  void SetFile(const FileIdentity& file, const jp_file_table& table) override;
  void RemoveFile(const FileIdentity& file) override;

 private:
  BpfSampler() = default;

  struct ObjectDeleter {
    void operator()(bpf_object* object) const;
  };
  struct RingDeleter {
    void operator()(ring_buffer* ring) const;
  };
  // Memory of a map, shared with the kernel.
  class MapMemory {
   public:
    MapMemory() = default;
    // Invalid when it fails.
    MapMemory(int map_fd, size_t bytes);
    explicit MapMemory(const bpf_map* map);  // a loaded array, as a whole
    MapMemory(MapMemory&& other) noexcept;
    MapMemory& operator=(MapMemory&& other) noexcept;
    ~MapMemory();
    std::byte* data() const { return data_; }  // nullptr: invalid
    size_t size() const { return size_; }

   private:
    std::byte* data_ = nullptr;
    size_t size_ = 0;
  };
  MapMemory* Chunk(uint32_t number);
  // After each change of what the kernel half keeps a copy of: jp_processes, jp_mapping_slices,
  // jp_files.
  void TellChange();

  std::unique_ptr<bpf_object, ObjectDeleter> object_;
  std::unique_ptr<BpfProbe> probe_;
  std::unique_ptr<ring_buffer, RingDeleter> ring_;
  std::unique_ptr<ring_buffer, RingDeleter> wishes_;
  std::unique_ptr<absl::FunctionRef<void(Event)>*> sink_;
  int program_fd_ = -1;
  int processes_fd_ = -1;
  int foreign_fd_ = -1;
  int layouts_fd_ = -1;
  int counters_fd_ = -1;
  int chunks_fd_ = -1;
  int slices_fd_ = -1;
  int files_fd_ = -1;
  std::vector<MapMemory> chunks_;  // those that were made
  MapMemory mappings_;
  MapMemory changes_;  // jp_changes
  MapMemory symbols_;  // jp_known_symbols
  MapMemory stacks_;   // jp_known_stacks
};

// Decodes one record of the ring. DataLoss: not a record of the kernel half.
absl::StatusOr<Event> ParseBpfRecord(std::span<const uint8_t> bytes);

}  // namespace jprof
