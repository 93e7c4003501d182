// From opened files to names: a large executable and a large perf map.
//   symbolize_bench                     the node binary at /usr/bin/node
//   JPROF_BENCH_ELF=FILE symbolize_bench
#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "benchmark/benchmark.h"
#include "helpers/perfmap/perf_map.h"
#include "symbolize/elf_file.h"
#include "symbolize/kallsyms.h"
#include "symbolize/symbolizer.h"
#include "symbolize/symbolizer_process.h"

namespace jprof {
namespace {

std::string ElfPath() {
  const char* path = std::getenv("JPROF_BENCH_ELF");
  return path != nullptr ? path : "/usr/bin/node";
}

UniqueFd OpenElf() { return UniqueFd(::open(ElfPath().c_str(), O_RDONLY | O_CLOEXEC)); }

// Offsets in functions drawn at random, the same ones each time.
std::vector<FileOffset> RandomOffsets(const ElfFile& file, size_t count) {
  std::vector<FileOffset> all;
  auto status = file.ForEachSymbolEntry(ElfFile::Table::kSymtab, [&](const auto& s) {
    if (s.type == STT_FUNC && s.size > 0) {
      if (auto offset = file.ToFileOffset({s.address.value + s.size / 2})) all.push_back(*offset);
    }
    return true;
  });
  if (!status.ok()) return {};
  std::shuffle(all.begin(), all.end(), std::mt19937(1));
  if (all.size() > count) all.resize(count);
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

void BM_SymbolizeImage(benchmark::State& state) {
  auto file = ElfFile::Open(OpenElf(), ElfPath());
  if (!file.ok()) return state.SkipWithError(file.status().ToString().c_str());
  std::vector<FileOffset> offsets = RandomOffsets(*file, static_cast<size_t>(state.range(0)));
  size_t named = 0;
  for (auto _ : state) {
    std::vector<ImageQuery> queries(1);
    queries[0].file = OpenElf();
    queries[0].path = ElfPath();
    queries[0].offsets = offsets;
    SymbolizeImages(queries, 1);
    named = std::count_if(queries[0].names.begin(), queries[0].names.end(),
                          [](const SymbolName& n) { return !n.name.empty(); });
  }
  state.counters["offsets"] = static_cast<double>(offsets.size());
  state.counters["named"] = static_cast<double>(named);
}
BENCHMARK(BM_SymbolizeImage)->Arg(100)->Arg(2000)->Arg(20000)->Unit(benchmark::kMillisecond);

// Ten thousand names from the start of the process that reads the file to its end, and what peers
// take for the same, from their start to their end; "ratio" is how many times as long.
constexpr size_t kColdOffsets = 10'000;

double ColdMilliseconds(const std::vector<FileOffset>& offsets, size_t* named) {
  const auto begin = std::chrono::steady_clock::now();
  auto process = SymbolizerProcess::Start();
  if (!process.ok()) return 0;
  std::vector<ImageQuery> queries(1);
  queries[0].file = OpenElf();
  queries[0].path = ElfPath();
  queries[0].offsets = offsets;
  (*process)->Symbolize(queries, 1, nullptr);
  process->reset();
  *named = static_cast<size_t>(
      std::count_if(queries[0].names.begin(), queries[0].names.end(),
                    [](const SymbolName& n) { return !n.name.empty(); }));
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
  return took.count();
}

void BM_Cold(benchmark::State& state) {
  auto file = ElfFile::Open(OpenElf(), ElfPath());
  if (!file.ok()) return state.SkipWithError(file.status().ToString().c_str());
  const std::vector<FileOffset> offsets = RandomOffsets(*file, kColdOffsets);
  size_t named = 0;
  for (auto _ : state) state.SetIterationTime(ColdMilliseconds(offsets, &named) / 1e3);
  state.counters["offsets"] = static_cast<double>(offsets.size());
  state.counters["named"] = static_cast<double>(named);
}
BENCHMARK(BM_Cold)->UseManualTime()->Unit(benchmark::kMillisecond);

void BM_ColdPeer(benchmark::State& state, const std::string& command) {
  if (std::system(absl::StrCat("command -v ", command.substr(0, command.find(' ')),
                               " > /dev/null").c_str()) != 0) {
    return state.SkipWithError("not installed");
  }
  auto file = ElfFile::Open(OpenElf(), ElfPath());
  if (!file.ok()) return state.SkipWithError(file.status().ToString().c_str());
  const std::vector<FileOffset> offsets = RandomOffsets(*file, kColdOffsets);
  std::string addresses;
  for (FileOffset offset : offsets) {
    absl::StrAppendFormat(&addresses, "0x%x\n", file->ToElfAddress(offset)->value);
  }
  size_t named = 0;
  double ours = 0;
  double theirs = 0;
  for (auto _ : state) {
    ours += ColdMilliseconds(offsets, &named);
    const auto begin = std::chrono::steady_clock::now();
    FILE* peer = ::popen(absl::StrCat(command, " ", ElfPath(), " > /dev/null").c_str(), "w");
    std::fwrite(addresses.data(), 1, addresses.size(), peer);
    ::pclose(peer);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    state.SetIterationTime(took.count());
    theirs += took.count() * 1e3;
  }
  state.counters["ratio"] = theirs / ours;
}
BENCHMARK_CAPTURE(BM_ColdPeer, eu_addr2line, "eu-addr2line -f -e")
    ->UseManualTime()->Iterations(3)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(BM_ColdPeer, llvm_symbolizer, "llvm-symbolizer --no-inlines -f -e")
    ->UseManualTime()->Iterations(3)->Unit(benchmark::kMillisecond);

void BM_ForEachSymbol(benchmark::State& state) {
  auto file = ElfFile::Open(OpenElf(), ElfPath());
  if (!file.ok()) return state.SkipWithError(file.status().ToString().c_str());
  const auto table = state.range(0) == 0 ? ElfFile::Table::kSymtab : ElfFile::Table::kDynsym;
  size_t symbols = 0;
  for (auto _ : state) {
    symbols = 0;
    auto status = file->ForEachSymbol(table, [&](const ElfFile::Symbol& s) {
      symbols += !s.name.empty();
      return true;
    });
    if (!status.ok()) return state.SkipWithError(status.ToString().c_str());
  }
  state.counters["symbols"] = static_cast<double>(symbols);
}
BENCHMARK(BM_ForEachSymbol)->Arg(0)->Arg(1)->ArgName("dynsym")->Unit(benchmark::kMillisecond);

void BM_LoadKallsyms(benchmark::State& state) {
  size_t symbols = 0;
  for (auto _ : state) {
    auto kernel = Kallsyms::Load();
    if (!kernel.ok()) return state.SkipWithError(kernel.status().ToString().c_str());
    symbols = kernel->size();
  }
  state.counters["symbols"] = static_cast<double>(symbols);
}
BENCHMARK(BM_LoadKallsyms)->Unit(benchmark::kMillisecond);

// Lines as V8 writes them; every tenth reuses the address of an older one. state.range(0) lines.
void BM_LoadPerfMap(benchmark::State& state) {
  std::mt19937_64 random(1);
  std::vector<uint64_t> starts;
  std::string text;
  uint64_t next = 0x7f0000000000;
  for (int64_t i = 0; i < state.range(0); ++i) {
    const uint64_t size = 64 + random() % 4096;
    uint64_t start = next;
    if (!starts.empty() && random() % 10 == 0) {
      start = starts[random() % starts.size()];
    } else {
      next += size + random() % 64;
    }
    starts.push_back(start);
    absl::StrAppendFormat(&text, "%x %x JS:*function%d /srv/app/node_modules/lib/index.js:%d:%d\n",
                          start, size, i, random() % 2000, random() % 80);
  }
  UniqueFd fd(::memfd_create("perf.map", MFD_CLOEXEC));
  if (::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    return state.SkipWithError("cannot write the map");
  }
  size_t entries = 0;
  for (auto _ : state) {
    auto map = PerfMap::OpenFile(UniqueFd(::dup(fd.get())), "perf.map");
    if (!map.ok() || !map->Update().ok() || map->exhausted()) {
      return state.SkipWithError("cannot load the map");
    }
    entries = map->size();
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(text.size()));
  state.counters["entries"] = static_cast<double>(entries);
}
BENCHMARK(BM_LoadPerfMap)->Arg(10'000)->Arg(2'000'000)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace jprof
