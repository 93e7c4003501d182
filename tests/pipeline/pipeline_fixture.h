// A pipeline in a made-up world: events go in as a test tells them, the profile comes out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "profiler/pipeline/pipeline.h"
#include "tests/pipeline/scripted_world.h"

namespace jprof {

inline constexpr Pid kPid = 100;
inline constexpr uint64_t kApp = 0x55'0000'1000;  // where the program's code is mapped
inline constexpr uint64_t kLib = 0x7f'0000'1000;  // a library's
inline constexpr uint64_t kJit = 0x7e'0000'0000;  // anonymous
inline constexpr int64_t kPeriodNs = 1000;

inline FileIdentity FileNumber(uint64_t inode) { return {8, 1, inode}; }

class PipelineTest : public testing::Test {
 protected:
  PipelineTest() {
    set_.runtimes = {&runtime_};
    world_.File(1, Program({"_start", "main", "work", "idle"}))
        .File(2, Program({"lib_a", "lib_b"}))
        .File(3, Program({"_start", "fake_runtime_code", "run"}))
        .File(4, Program({"other_start", "other_main", "other_work"}));
  }

  // Made at the first event, so that a test can prepare the world.
  Pipeline& pipeline() {
    if (pipeline_ == nullptr) {
      pipeline_ = std::make_unique<Pipeline>(options_, set_, world_, world_.World());
    }
    return *pipeline_;
  }
  uint64_t Tick() { return time_ns_ += 1'000'000; }

  void Map(uint64_t begin, uint64_t inode, absl::string_view path, Pid pid = kPid,
           uint64_t size = 0x2000, uint64_t offset = 0x1000) {
    pipeline().Handle(MapEvent{Tick(), pid, {{begin}, {begin + size}}, {offset}, FileNumber(inode),
                               std::string(path)});
  }
  void MapAnonymous(uint64_t begin, uint64_t size = 0x2000, Pid pid = kPid) {
    pipeline().Handle(
        MapEvent{Tick(), pid, {{begin}, {begin + size}}, {0}, FileIdentity{}, "//anon"});
  }
  void Comm(absl::string_view comm, bool exec = false, Pid pid = kPid) {
    pipeline().Handle(CommEvent{Tick(), pid, pid, exec, std::string(comm)});
  }
  // Leaf first: the leaf's pc, then return addresses.
  void Stack(uint32_t number, const std::vector<uint64_t>& addresses, WalkEnd end = WalkEnd::kRoot,
             Pid pid = kPid) {
    StackEvent stack{number, pid, end, {}};
    for (uint64_t address : addresses) {
      stack.frames.push_back({.address = address, .is_return_address = !stack.frames.empty()});
    }
    pipeline().Handle(stack);
  }
  void RuntimeStack(uint32_t number, std::vector<RawFrame> frames) {
    for (size_t i = 0; i < frames.size(); ++i) {
      if (frames[i].kind != RawFrame::Kind::kNative) frames[i].runtime = 1;
      frames[i].is_return_address = i > 0;
    }
    pipeline().Handle(StackEvent{number, kPid, WalkEnd::kRoot, std::move(frames)});
  }
  void Symbol(uint32_t number, absl::string_view name) {
    jp_symbol symbol = {};
    const jp_chunk chunk = {1, JP_ENCODING_UTF8, static_cast<uint16_t>(name.size())};
    symbol.text_bytes = static_cast<uint32_t>(sizeof(chunk) + name.size());
    std::vector<uint8_t> record(sizeof(symbol) + symbol.text_bytes);
    std::memcpy(record.data(), &symbol, sizeof(symbol));
    std::memcpy(record.data() + sizeof(symbol), &chunk, sizeof(chunk));
    std::memcpy(record.data() + sizeof(symbol) + sizeof(chunk), name.data(), name.size());
    pipeline().Handle(SymbolEvent{number, kPid, 1, std::move(record)});
  }
  void Sample(uint32_t user_stack, uint32_t kernel_stack = 0, Pid pid = kPid) {
    pipeline().Handle(SampleEvent{Tick(), pid, pid, 0, user_stack, kernel_stack});
  }

  Profile Finish(RecordingEnd end = {}) {
    auto profile = pipeline().Finish(end);
    EXPECT_TRUE(profile.ok()) << profile.status();
    return profile.ok() ? *std::move(profile) : Profile();
  }
  std::vector<std::string> FinishedStacks() { return Stacks(Finish()); }

  // main called work: addresses in the middle of the functions.
  static std::vector<uint64_t> WorkStack(uint64_t base = kApp) {
    return {base + 0x210, base + 0x110, base + 0x10};
  }
  // All of process `pid` as /proc would tell it.
  static ProcMapping Mapped(uint64_t begin, uint64_t inode, absl::string_view path,
                            uint64_t offset = 0x1000) {
    ProcMapping m;
    m.range = {{begin}, {begin + 0x2000}};
    m.offset = {offset};
    if (inode != 0) m.file = FileNumber(inode);
    m.readable = m.executable = true;
    m.path = std::string(path);
    return m;
  }
  // A process with the fake runtime in its program and anonymous code.
  void StartFakeRuntime() {
    world_.maps[kPid] = {Mapped(kApp, 3, "/bin/fake"), Mapped(kJit, 0, "", 0)};
    Map(kApp, 3, "/bin/fake");
    MapAnonymous(kJit);
  }

  FakeRuntime runtime_;
  RuntimeSet set_;
  ScriptedWorld world_;
  PipelineOptions options_{.period_ns = kPeriodNs};
  std::unique_ptr<Pipeline> pipeline_;
  uint64_t time_ns_ = 1'000'000'000;
};

}  // namespace jprof
