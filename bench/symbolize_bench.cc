// From opened files to names: a large executable and a large perf map.
//   symbolize_bench                     the node binary at /usr/bin/node
//   JPROF_BENCH_ELF=FILE symbolize_bench
#include <elf.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "benchmark/benchmark.h"
#include "symbolize/elf_file.h"
#include "symbolize/kernel_symbols.h"
#include "symbolize/symbolizer.h"

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

void BM_LoadKernelSymbols(benchmark::State& state) {
  size_t symbols = 0;
  for (auto _ : state) {
    auto kernel = KernelSymbols::Load();
    if (!kernel.ok()) return state.SkipWithError(kernel.status().ToString().c_str());
    symbols = kernel->size();
  }
  state.counters["symbols"] = static_cast<double>(symbols);
}
BENCHMARK(BM_LoadKernelSymbols)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace jprof
