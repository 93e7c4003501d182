// A world made of values for the pipeline: files, mappings, perf maps and memory that a test wrote
// down, and a runtime that recognises a symbol.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "helpers/layout_sink.h"
#include "helpers/perfmap/perf_map.h"
#include "helpers/runtime.h"
#include "helpers/symbol_record.h"
#include "profiler/core/profile.h"
#include "profiler/pipeline/pipeline.h"
#include "profiler/process/proc_maps.h"
#include "tests/symbolize/elf_builder.h"
#include "tests/testing/fake_memory.h"

namespace jprof {

// Recognises images that define "fake_runtime_code"; that function is its code. Names of its
// functions are text field 1 of their records, and are not told at first where that is empty.
class FakeRuntime : public Runtime {
 public:
  std::function<std::vector<FrameLine>()> locate = [] { return std::vector<FrameLine>(); };

  absl::string_view name() const override { return "fake"; }

  absl::StatusOr<std::optional<RuntimeImage>> Probe(const ElfFile& image) const override {
    std::optional<RuntimeImage> found;
    bool broken = false;
    auto status = image.ForEachSymbol(ElfFile::Table::kSymtab, [&](const ElfFile::Symbol& s) {
      broken |= s.name == "fake_runtime_broken";
      if (s.name == "fake_runtime_code") {
        const FileOffset begin = *image.ToFileOffset(s.address);
        found = RuntimeImage{.version = "fake 1",
                             .layout = std::vector<std::byte>(8, std::byte{7}),
                             .code = {{begin, FileOffset{begin.value + s.size}}},
                             .plumbing = {{FileOffset{begin.value + s.size},
                                           FileOffset{begin.value + s.size + 0x10}}},
                             .named_code = {{{FileOffset{begin.value + s.size + 0x20},
                                              FileOffset{begin.value + s.size + 0x30}},
                                             "sort"},
                                            {{FileOffset{begin.value + s.size + 0x30},
                                              FileOffset{begin.value + s.size + 0x40}},
                                             "plumbing_entry"}},
                             .owns_anonymous_code = true};
      }
      return true;
    });
    if (broken) return absl::FailedPreconditionError("fake 2 is too new");
    if (!status.ok()) return status;
    return found;
  }

  std::unique_ptr<RuntimeInstance> Attach(const RuntimeImage&, const MemoryReader&) const override {
    class Instance : public RuntimeInstance {
     public:
      explicit Instance(const FakeRuntime& runtime) : runtime_(runtime) {}
      std::vector<FrameLine> Locate(const RawFrame&) override { return runtime_.locate(); }
      absl::StatusOr<FrameName> Describe(std::span<const uint8_t> bytes) override {
        auto record = ParseSymbolRecord(bytes);
        if (!record.ok()) return record.status();
        const FrameKind kind = record->Text(1).empty() ? FrameKind::kUnknown : FrameKind::kScript;
        return FrameName{
            .name = record->Text(1), .file = "app.fake", .start_line = 3, .kind = kind};
      }

     private:
      const FakeRuntime& runtime_;
    };
    return std::make_unique<Instance>(*this);
  }

  std::optional<FrameName> DescribeBuiltin(absl::string_view symbol) const override {
    if (absl::StartsWith(symbol, "plumbing")) return std::nullopt;
    return FrameName{.name = absl::StrCat("builtin ", symbol), .kind = FrameKind::kBuiltin};
  }
};

class ScriptedWorld : public LayoutSink {
 public:
  // A file is known by its inode. Its code lies at offset kContent.
  ScriptedWorld& File(uint64_t inode, std::string elf) {
    files_[inode] = std::move(elf);
    return *this;
  }
  std::map<Pid, std::vector<ProcMapping>> maps;
  std::map<Pid, std::string> perf_maps;
  std::map<Pid, absl::Status> perf_map_errors;
  int maps_reads = 0;
  uint64_t maps_take_ns = 0;  // to be read
  uint64_t now_ns = 0;

  PipelineWorld World() {
    return {
        .open_file = [this](const MapEvent& map) -> absl::StatusOr<UniqueFd> {
          auto it = files_.find(map.file.inode);
          if (it == files_.end()) return absl::NotFoundError("no such file");
          return FileOf(it->second);
        },
        .read_maps = [this](Pid pid) -> absl::StatusOr<std::vector<ProcMapping>> {
          ++maps_reads;
          now_ns += maps_take_ns;
          auto it = maps.find(pid);
          if (it == maps.end()) return absl::NotFoundError("no such process");
          return it->second;
        },
        .open_memory = [](Pid) { return std::make_unique<FakeMemory>(); },
        .open_perf_map = [this](Pid pid) -> absl::StatusOr<PerfMap> {
          if (auto e = perf_map_errors.find(pid); e != perf_map_errors.end()) return e->second;
          auto it = perf_maps.find(pid);
          if (it == perf_maps.end()) return absl::NotFoundError("there is no /tmp/perf-PID.map");
          UniqueFd& fd = perf_map_files_[pid];
          fd = FileOf(it->second);
          return PerfMap::OpenFile(UniqueFd(::dup(fd.get())), "perf.map");
        },
        .open_jit_dump = [](Pid pid, UniqueFd fd, absl::string_view name) {
          return JitDump::OpenFile(std::move(fd), name, {.pid = pid});
        },
        .now = [this] { return now_ns; },
        .kallsyms = kallsyms,
    };
  }
  void AppendPerfMap(Pid pid, absl::string_view text) {
    const int fd = perf_map_files_.at(pid).get();
    EXPECT_EQ(::pwrite(fd, text.data(), text.size(), ::lseek(fd, 0, SEEK_END)),
              static_cast<ssize_t>(text.size()));
  }
  std::string kallsyms = "/dev/null";

  // LayoutSink.
  bool SetLayout(uint32_t index, std::span<const std::byte>) override {
    ++layouts[index];
    return true;
  }
  bool SetProcess(Pid pid, const jp_process& process) override {
    processes[pid] = process;
    return true;
  }
  void RemoveProcess(Pid pid) override { processes.erase(pid); }
  void ForgetSymbols() override { forgotten += "symbols "; }
  void ForgetStacks() override { forgotten += "stacks "; }
  std::string forgotten;
  std::map<uint32_t, int> layouts;
  std::map<Pid, jp_process> processes;

 private:
  std::map<uint64_t, std::string> files_;
  std::map<Pid, UniqueFd> perf_map_files_;
};

// An ELF file whose functions follow each other from address 0x1000, 0x100 bytes each; mapped from
// offset kContent that is offset 0x1000 too.
inline std::string Program(const std::vector<std::string>& functions) {
  ElfBuilder elf;
  const uint64_t size = functions.size() * 0x100;
  elf.Segment(ElfBuilder::kContent, 0x1000, size + 0x1000, size + 0x1000, PF_R | PF_X)
      .CodeSection(0x1000, size + 0x1000)
      .Content(std::string(size + 0x1000, '\xcc'));
  uint64_t address = 0x1000;
  for (const std::string& function : functions) {
    elf.Symbol(function, address, 0x100);
    address += 0x100;
  }
  return elf.Build();
}

// The stack of each sample, outermost first: "main;work".
inline std::vector<std::string> Stacks(const Profile& profile) {
  std::vector<std::string> result;
  for (const ProfileSample& sample : profile.samples) {
    std::vector<std::string> frames;
    for (StackId id = sample.stack; id.valid(); id = profile.stacks[id.value].caller) {
      const Location& location = profile.locations[profile.stacks[id.value].location.value];
      for (const Line& line : profile.Lines(location)) {
        frames.push_back(FunctionText(profile, profile.functions[line.function.value]));
      }
    }
    std::string text;
    for (auto it = frames.rbegin(); it != frames.rend(); ++it) {
      absl::StrAppend(&text, text.empty() ? "" : ";", *it);
    }
    result.push_back(std::move(text));
  }
  return result;
}

}  // namespace jprof
